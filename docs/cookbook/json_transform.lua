-- Changes JSON on its way: fields that clients must not see are taken out of
-- responses, and what clients send is checked before a target sees it.

local hidden = { password_hash = true, internal_notes = true }

-- Takes the hidden fields out of a value, however deep.
local function clean(value)
	if type(value) ~= "table" then
		return value
	end
	for key, inner in pairs(value) do
		if hidden[key] then
			value[key] = nil
		else
			clean(inner)
		end
	end
	return value
end

chi_middleware("/users", function(request, response, next)
	if request.method == "POST" then
		local user = request:json()
		if type(user) ~= "table" or type(user.name) ~= "string" then
			response:json({ error = "expected an object with a name" }, 400)
			return
		end
		-- Only what is meant to be sent on: a client can't make itself admin.
		request:set_body(json.encode({ name = user.name, email = user.email }))
		request:set_header("Content-Type", "application/json")
	end
	request:remove_header("Accept-Encoding") -- a compressed body could not be read

	next()

	local media = response:header("Content-Type") or ""
	if response.status_code >= 300 or not media:match("^application/json") then
		return -- streamed as it is
	end
	local value, message = json.decode(response.body)
	if message then
		log.error("the target sent bad JSON", { cause = message })
		response:set_body('{"error":"bad gateway"}')
		response:status(502)
		return
	end
	response:set_body(json.encode(clean(value)))
end)
