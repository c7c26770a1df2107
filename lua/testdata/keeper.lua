-- What tests of handles run: requests to paths that are no route keep all that
-- they get in all places where a script can, and then end as the path says.
-- GET /use tries all that was kept in all ways, and answers with what worked.

local time = require "keystone.time"

KEPT = {}            -- {name, place, value}, in a global
local hidden = {}    -- the same, in upvalues
local weak = setmetatable({}, {__mode = "k"})

local function remember(name, place, value)
	KEPT[#KEPT + 1] = {name = name, place = place, value = value}
end

local function keep(name, value)
	if value == nil then return end
	remember(name, "table", value)
	_G["kept " .. name] = value
	hidden[#hidden + 1] = {name = name, place = "upvalue", get = function() return value end}
	if type(value) == "userdata" or type(value) == "function" then
		local meta = {__index = value, __newindex = value, __call = value, __len = value, __metatable = value}
		remember(name, "metatable", setmetatable({}, meta))
		remember(name, "metamethod", setmetatable({}, {__index = function(t, k) return value[k] end, __call = function(t, ...) return value(...) end}))
	end
	if value == value then weak[value] = name end
	local co = coroutine.create(function(v) local mine = v while true do coroutine.yield(mine) end end)
	coroutine.resume(co, value)
	remember(name, "stack of a coroutine", co)
	remember(name, "stack of a wrapped coroutine", coroutine.wrap(function() while true do coroutine.yield(value) end end))
	remember(name, "argument", (function(...)
		local n, first = select("#", ...), ...
		return function() return first.path, first(n) end
	end)(value))
end

local methods = {}  -- functions, which are no request's

local function keepAll(request, response, next)
	keep("request", request)
	keep("response", response)
	keep("next", next)
	keep("headers", request.headers)
	keep("headers()", request:headers())
	keep("response.headers", response.headers)
	keep("iterator", (pairs(request.headers)))
	keep("iterator of the response", (pairs(response.headers)))
	local begun = pairs(request.headers)
	begun()
	keep("iterator under way", begun)
	keep("closure", function() return request:header("Authorization") or request.path end)
	keep("params", request.params) keep("path", request.path) keep("query", request.query) keep("id", request.id)
	keep("url", request.url) keep("method", request.method) keep("host", request.host) keep("body", request.body)
	keep("field", request:header("Authorization")) keep("list", request:headers_all("Cookie"))
	keep("cookie", request:cookie("session")) keep("parameter", request:query_param("q")) keep("flat", request_headers(request))
	for name, value in pairs(request.headers) do keep(name, value) end
	for _, name in ipairs{"header", "cookie", "query_param", "set", "get", "json", "headers_all"} do methods[name] = request[name] end
	for _, name in ipairs{"write", "flush", "set_body"} do methods["response." .. name] = response[name] end
	request:set("request", request)
	request:set("iterator", (pairs(request.headers)))
	local co
	co = coroutine.wrap(function()
		keep("running", coroutine.running())
		keep("wrap", co)
		coroutine.yield()
		return request:header("Authorization")
	end)
	co()
	pcall(function()
		keep("iterator of a thread that failed", (pairs(request.headers)))
		keep("closure of a thread that failed", function() return request.path end)
		error(request)
	end)
	xpcall(function() error(request) end, function(e) keep("error value", e) end)
end

local function finish(path, request, response, next)
	if path == "/error" then error("keep") end
	if path == "/value" then error(request) end
	if path == "/iterator" then error((pairs(request.headers))) end
	if path == "/budget" then while true do end end
	if path == "/memory" then local t = {} while true do t[#t + 1] = string.rep("x", 1000) .. #t end end
	if path == "/stack" then local function f() return 1 + f() end f() end
	if path == "/coroutine" then coroutine.wrap(function() error(response) end)() end
	if path == "/sleep" then time.sleep(0.0001) error("late") end
	if path == "/nested" then pcall(function() pcall(function() while true do end end) end) end
	if path == "/write" or path == "/flush" then response:write("x") response:flush() error("later") end
	local ok, failure = pcall(next)
	keep("error", failure)
	if path == "/again" or path == "/panic%20again" or path == "/panic again" then error(failure) end
	if path == "/caught" then pcall(error, request) end
	if path == "/answer" then keep("answer", response.body) end
end

chi_middleware(function(request, response, next)
	if request.path == "/use" then return next() end
	KEPT, hidden = {}, {}
	keepAll(request, response, next)
	finish(request.path, request, response, next)
end)

chi_middleware(function(request, response, next)
	if request.path == "/use" then return next() end
	remember("inner request", "table", request)
	remember("inner response", "table", response)
	remember("inner next", "table", next)
	remember("inner iterator", "table", (pairs(request.headers)))
	next()
	if request.path == "/behind" or request.path == "/again" then error("behind") end
end)

local report

-- try notes what works although it must not.
local function noted(kept, use, worked, ...)
	if not worked then return end
	local texts = {}
	for i = 1, select("#", ...) do texts[i] = tostring((select(i, ...))) end
	report[#report + 1] = kept.name .. " in " .. kept.place .. ", " .. use .. ": " .. table.concat(texts, ", ")
end
local function try(kept, use, f, ...) noted(kept, use, pcall(f, ...)) end

local uses = {
	["field path"] = function(v) return v.path end,
	["field status_code"] = function(v) return v.status_code end,
	["field headers"] = function(v) return v.headers end,
	["field params"] = function(v) return v.params end,
	["field body"] = function(v) return v.body end,
	["field Authorization"] = function(v) return v.Authorization end,
	["field X-None"] = function(v) return v["X-None"] end,
	["method as a field"] = function(v) return v.header end,
	["header"] = function(v) return v:header("Authorization") end,
	["get"] = function(v) return v:get("request") end,
	["set"] = function(v) return v:set("a", 1) end,
	["write"] = function(v) return v:write("x") end,
	["set_path"] = function(v) return v:set_path("/x") end,
	["status_code ="] = function(v) v.status_code = 200 end,
	["X-A ="] = function(v) v["X-A"] = "b" end,
	["call"] = function(v) return v() end,
	["call with itself"] = function(v) return v(v, "Authorization") end,
	["pairs"] = function(v) for name, value in pairs(v) do return name, value end end,
	["for"] = function(v) for name, value in v do return name, value end end,
	["length"] = function(v) return #v end,
	["flat header"] = function(v) return request_header(v, "Authorization") end,
	["flat path"] = function(v) return request_path(v) end,
	["flat headers"] = function(v) return request_headers(v) end,
	["flat write"] = function(v) return response_write(v, "x") end,
	["resume"] = function(v) return assert(coroutine.resume(v)) end,
	["sort"] = function(v) return table.sort({3, 1, 2}, v) end,
	["sent as JSON"] = function(v) return json.encode({v}) end,
}

-- What can be done with functions, threads, and tables whose metamethods lead
-- to what was kept; with userdata, all.
local fitting = {
	["function"] = {"call", "for", "sort"},
	thread = {"resume"},
	table = {"field path", "field X-None", "call"},
	userdata = {},
}
for name in pairs(uses) do table.insert(fitting.userdata, name) end

local some = {"field path", "header", "X-A =", "call", "pairs", "length"}

local function plain(kept, value)
	return not fitting[type(value)] or type(value) == "table" and kept.place ~= "metatable" and kept.place ~= "metamethod"
end

local function check(kept, value)
	if plain(kept, value) then return end -- the script's own
	if type(value) == "userdata" and kept.name:find("^error") then
		try(kept, "tostring", function() return kept.name == "error" and tostring(value) or error("not one of the gateway's errors") end)
	end
	local fit = fitting[type(value)]
	if type(value) == "userdata" and kept.place ~= "table" then fit = some end
	for _, name in ipairs(fit) do try(kept, name, uses[name], value) end
	if type(value) == "userdata" and kept.place == "table" then
		for name, method in pairs(methods) do try(kept, "method " .. name, method, value, "Authorization") end
	end
end

local function useAll()
	local n = 0
	for _, kept in ipairs(KEPT) do n = n + 1 check(kept, kept.value) end
	for _, kept in ipairs(hidden) do n = n + 1 check(kept, kept.get()) end
	for value, name in pairs(weak) do n = n + 1 check({name = name, place = "weak table"}, value) end
	for name, value in pairs(_G) do
		if tostring(name):find("^kept ") then n = n + 1 check({name = name, place = "global"}, value) end
	end
	return n
end

local function useSome(step)
	for i = 1, #KEPT, step do check(KEPT[i], KEPT[i].value) end
end

chi.handle("/use", function(request, response)
	report = {}
	local n = useAll()
	coroutine.wrap(function() useSome(3) end)()
	pcall(function() useSome(7) error("an error") end)
	if request:get("request") or request:get("a") then report[#report + 1] = "a value of request:set is still there" end
	if request.path ~= "/use" or request:header("Authorization") ~= "own of /use" then report[#report + 1] = "the request is another" end
	weak = {}
	response:header("X-Kept", tostring(n))
	response:write(table.concat(report, "\n"))
end)
