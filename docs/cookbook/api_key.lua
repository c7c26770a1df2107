-- API keys, each with a name and a rate of its own.
--
-- The digests of the keys stand here, the keys nowhere. Make a key with
--   openssl rand -hex 32        and its digest with    printf %s KEY | sha256sum

local crypto = require "keystone.crypto"

local clients = {
	["50d858e0985ecc7f60418aaf0cc5ab587f42c2570a884095a9e8ccacd0f6545c"] = { name = "reports", rate = 5 },
	["c4a9951b72625b0945df232bd25c2f99f493eb5d681a7405955072bff3ea513a"] = { name = "mobile", rate = 100 },
}

chi_middleware(function(request, response, next)
	local key = request:header("X-Api-Key")
	-- A digest tells nothing of the key, so that looking it up may take as
	-- long as it does.
	local client = key and clients[crypto.sha256(key)]
	if not client then
		response:header("WWW-Authenticate", "ApiKey") -- a 401 has to have one
		response:json({ error = "a valid key is needed in X-Api-Key" }, 401)
		return
	end
	local allowed, state = limit.allow("api key:" .. client.name, client.rate)
	if not allowed then
		if type(state) == "table" then
			response:header("Retry-After", math.ceil(state.retry_after))
		end
		response:json({ error = "too many requests" }, 429)
		return
	end
	request:remove_header("X-Api-Key")
	request:set_header("X-Client", client.name)
	next()
end)
