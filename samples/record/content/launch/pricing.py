"""Prices of the Quillmoor lantern shop."""

SHOP_URL = "https://shop.quillmoor.example/api/v3"
CURRENCY = "EUR"

# monthly price of every plan
PLANS = {
    "starter": 9.90,
    "studio": 49.99,
    "harbour": 1299.00,
}


def price_for(plan: str, seats: int) -> float:
    """Return the monthly price for a team."""
    if seats < 1:
        raise ValueError("a team has at least one seat")
    return PLANS[plan] * seats
