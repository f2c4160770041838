-- Posts an empty document to each path of the file WRK_PATHS once. When all are answered it writes to WRK_DONE how
-- many seconds that took: wrk itself stops when its time is over, or is interrupted.
local ffi = require("ffi")
ffi.cdef [[
    typedef struct { long seconds; long nanoseconds; } moment;
    int clock_gettime(int clock, moment *found);
]]
local MONOTONIC = 1
local found = ffi.new("moment")
local waiting, asked, answered, began = {}, -1, 0, nil -- wrk asks for a request once before it begins, to look at it

local function now()
    ffi.C.clock_gettime(MONOTONIC, found)
    return tonumber(found.seconds) + tonumber(found.nanoseconds) * 1e-9
end

wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = "{}"

function init()
    for path in io.lines(os.getenv("WRK_PATHS")) do
        waiting[#waiting + 1] = wrk.format(nil, path)
    end
end

function request()
    began = began or now()
    asked = asked + 1
    return waiting[math.max(asked, 1)] or waiting[#waiting]
end

function delay()
    return asked < #waiting and 0 or 60000
end

function response(status)
    answered = answered + 1
    if status >= 300 then
        error("the gateway refuses to complete: " .. status)
    end
    if answered == #waiting then
        local file = io.open(os.getenv("WRK_DONE"), "w")
        file:write(now() - began)
        file:close()
    end
end
