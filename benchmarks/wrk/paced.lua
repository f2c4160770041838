-- Sends at most RATE requests a second over all connections, so that latency is that of a server with room to spare.
-- Each request takes the next place of one timetable; a late one goes at once.
local ffi = require("ffi")
ffi.cdef [[
    typedef struct { long seconds; long nanoseconds; } moment;
    int clock_gettime(int clock, moment *found);
]]
local MONOTONIC = 1
local found = ffi.new("moment")
local interval, next_at = 1 / tonumber(os.getenv("WRK_RATE")), nil

local function now()
    ffi.C.clock_gettime(MONOTONIC, found)
    return tonumber(found.seconds) + tonumber(found.nanoseconds) * 1e-9
end

function delay()
    local moment = now()
    next_at = math.max((next_at or moment) + interval, moment - interval)
    return math.max(0, math.floor((next_at - moment) * 1000 + 0.5))
end
