-- Server-sent events: a clock that ticks, and what others publish.
-- lua: { total_timeout: 0 } lets the streams go on for ever.

local time = require "keystone.time"

-- Writes an event. Each line of the text has to be a field of its own.
local function send(response, id, text)
	response:write("id: ", id, "\n")
	for line in (text .. "\n"):gmatch("(.-)\r?\n") do
		response:write("data: ", line, "\n")
	end
	response:write("\n")
	response:flush() -- ends the script if the client is gone
end

chi_route("POST", "/news", function(request, response)
	shared.set("news", request.body)
	response:json({ id = shared.incr("news id") }, 202)
end)

chi_route("GET", "/news", function(request, response)
	response:header("Content-Type", "text/event-stream")
	response:header("Cache-Control", "no-store")
	-- A client that lost its connection says which event it had last.
	local last = tonumber(request:header("Last-Event-Id") or "") or 0
	response:write("retry: 2000\n\n")
	response:flush()
	for round = 1, math.huge do
		local id = tonumber(shared.get("news id")) or 0
		if id ~= last then
			send(response, id, shared.get("news") or "")
			last = id
		elseif round % 30 == 0 then
			response:write(": still here\n\n") -- so that nobody closes a quiet connection
			response:flush()
		end
		time.sleep(0.5) -- other requests run meanwhile
	end
end)
