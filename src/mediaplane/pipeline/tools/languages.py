"""Names of languages: people write `en` or `eng`; each OCR engine knows them by one of the two.

Source: ISO 639-1 and 639-2/T; the names of tesseract's own data files where they differ.
"""

# two letters: as tesseract names its data
_PAIRS = """
af:afr am:amh ar:ara az:aze be:bel bg:bul bn:ben bs:bos ca:cat cs:ces cy:cym da:dan de:deu el:ell en:eng eo:epo es:spa
et:est eu:eus fa:fas fi:fin fr:fra ga:gle gl:glg gu:guj he:heb hi:hin hr:hrv hu:hun hy:hye id:ind is:isl it:ita ja:jpn
ka:kat kk:kaz km:khm kn:kan ko:kor ku:kmr la:lat lb:ltz lo:lao lt:lit lv:lav mi:mri mk:mkd ml:mal mn:mon mr:mar ms:msa
mt:mlt my:mya ne:nep nl:nld no:nor oc:oci pa:pan pl:pol pt:por qu:que ro:ron ru:rus si:sin sk:slk sl:slv sq:sqi sr:srp
sv:swe sw:swa ta:tam te:tel th:tha tl:fil tr:tur uk:ukr ur:urd uz:uzb vi:vie zh:chi_sim zh-tw:chi_tra
"""
_LONG = dict(pair.split(":") for pair in _PAIRS.split())
_SHORT = {long: short for short, long in _LONG.items()}
_ALIASES = {"ch": "zh", "zh-cn": "zh", "zh_cn": "zh", "zh_tw": "zh-tw", "jp": "ja", "japan": "ja", "nob": "no"}


def two_letters(language: str) -> str:
    """Return the two-letter name of a language however it is written; an unknown one as it is, in small letters."""
    code = language.strip().lower()
    code = _ALIASES.get(code, code)
    return _SHORT.get(code, code)


def tesseract_name(language: str) -> str:
    """Return the name of tesseract's data for a language; one it may know by itself, as `script/Latin`, as it is."""
    return _LONG.get(two_letters(language), language.strip())
