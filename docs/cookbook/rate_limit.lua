-- 60 requests a minute for each client address, 10 of them at once; 5 a
-- minute for attempts to log in. Targets don't see what is refused.

local function limited(name, options)
	return function(request, response, next)
		-- remote_addr is the peer's address, or what a trusted proxy says it
		-- is. A header such as X-Forwarded-For can be made up by the client.
		local allowed, state = limit.gcra(name .. ":" .. request.remote_addr, options)
		if type(state) ~= "table" then
			log.error("the limit can't be checked", { cause = state })
			response:status(503)
			return
		end
		response:header("RateLimit-Remaining", state.remaining)
		response:header("RateLimit-Reset", math.ceil(state.reset))
		if not allowed then
			response:header("Retry-After", math.ceil(state.retry_after))
			response:json({ error = "too many requests" }, 429)
			return
		end
		next()
	end
end

chi_middleware(limited("all", { rate = 60, per = 60, burst = 10 }))
chi_middleware("/login", limited("login", { rate = 5, per = 60, burst = 5 }))
