local jwt = require "keystone.jwt"

-- A pair of keys that was made for this test.
local public = [[
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE4H+qJjBwvDgcmgJyFoF1z45ksY4v
vineGpNyWA1u6ZcjPdB64m/ofLF+nB/h+J3oqV3kCfvjgi/ADl5B63Sxxg==
-----END PUBLIC KEY-----
]]
local private = [[
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgF5nkBqkOoLaEUhDG
8kZH5hReLrMP/iYjv/fZNLCCUxuhRANCAATgf6omMHC8OByaAnIWgXXPjmSxji++
Kd4ak3JYDW7plyM90Hrib+h8sX6cH+H4neipXeQJ++OCL8AOXkHrdLHG
-----END PRIVATE KEY-----
]]

config { env = { JWT_KEY = public } }

-- A token with these claims changed; false removes one.
local function token(changes, algorithm, key)
	local claims = {
		sub = "ada", iss = "https://login.example.com/", aud = "shop", scope = "read", exp = clock.now() + 60,
	}
	for name, value in pairs(changes or {}) do
		claims[name] = value or nil
	end
	return jwt.sign(claims, { key = key or private, algorithm = algorithm or "ES256" })
end

local function ask(path, text)
	return request("GET", path, { headers = { Authorization = "Bearer " .. text, ["X-User"] = "root" } })
end

test("a good token lets through, and the target learns who it is", function()
	expect(ask("/", token()).status):equals(200)
	expect(upstream.last.headers["X-User"]):equals("ada")
	expect(ask("/me", token()):json()):equals({ user = "ada" })
end)

test("all others are refused", function()
	for name, text in pairs {
		expired = token { exp = clock.now() - 31 },
		["without end"] = token { exp = false },
		["of another issuer"] = token { iss = "https://evil.example.com/" },
		["for another audience"] = token { aud = "other" },
		["without a subject"] = token { sub = false },
		["with the public key as a secret"] = token({}, "HS256", "0123456789abcdef0123456789abcdef"),
		["tampered with"] = token():gsub("^[^.]+", "eyJhbGciOiJub25lIn0"),
		["not a token"] = "x",
	} do
		local r = ask("/", text)
		if r.status ~= 401 then
			fail("a token " .. name .. " gave " .. r.status)
		end
	end
	expect(request("GET", "/").status):equals(401)
	expect(upstream.requests):is_empty()
end)

test("only those with the scope see /admin", function()
	expect(ask("/admin/users", token()).status):equals(403)
	expect(ask("/admin/users", token { scope = "read administrator" }).status):equals(403)
	expect(upstream.requests):is_empty()
	expect(ask("/admin/users", token { scope = "read admin" }).status):equals(200)
end)
