-- Posts a document again and again (WRK_BODY names its file; %NUMBER% in it counts on from WRK_FIRST), and writes what
-- is answered to WRK_ANSWERS, a line each.
local template, number

wrk.method = "POST"
wrk.headers["content-type"] = "application/json"

function init()
    template = io.open(os.getenv("WRK_BODY")):read("*a")
    number = tonumber(os.getenv("WRK_FIRST"))
    file = io.open(os.getenv("WRK_ANSWERS"), "a")
end

function request()
    number = number + 1
    return wrk.format(nil, nil, nil, (template:gsub("%%NUMBER%%", tostring(number))))
end

function response(status, _, body)
    if status < 300 then
        file:write(body, "\n")
        file:flush()
    end
end
