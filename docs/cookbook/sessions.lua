-- Sessions in an encrypted cookie, with a page to sign in: whoever has signed in is
-- known to targets as X-User, for eight hours. USERS_URL is a service that is asked
-- about names and passwords. SESSION_SECRET has 32 random bytes or more, and
-- SESSION_SECRET_BEFORE the one that was in use before it, while its sessions last.

local cookie = require "keystone.cookie"
local template = require "keystone.template"
local url = require "keystone.url"

local lifetime = 8 * 3600
local name = "__Host-session" -- browsers keep it to this host, and to HTTPS

local secrets = { get_env("SESSION_SECRET") } -- an empty one is an error: nothing is served then
if get_env("SESSION_SECRET_BEFORE") ~= "" then
	secrets[2] = get_env("SESSION_SECRET_BEFORE")
end
local keys = cookie.keys(secrets)

local page = template.compile([[
<!doctype html>
<title>Sign in</title>
{{# wrong }}
<p>The name {{ name }} and the password don't belong together.</p>
{{/ wrong }}
<form method="post" action="/sign-in">
<input name="name" value="{{ name }}"><input name="password" type="password"><button>Sign in</button>
</form>
]])

local function show(response, status, data)
	response:status(status)
	response:header("Content-Type", "text/html; charset=utf-8")
	response:header("Cache-Control", "no-store")
	response:write(page:render(data))
end

chi_route("GET", "/sign-in", function(_, response)
	show(response, 200, {})
end)

chi_route("POST", "/sign-in", function(request, response)
	local form = url.query(request.body)
	local user = type(form.name) == "string" and form.name or ""
	local answer = http.post(get_env("USERS_URL"), nil, { json = { name = user, password = form.password }, timeout = 2 })
	if not answer or answer.status ~= 200 then
		show(response, 401, { wrong = true, name = user })
		return
	end
	cookie.set(response, { name = name, value = keys:encrypt(name, user, lifetime), max_age = lifetime })
	response:redirect("/", 303)
end)

chi_route("POST", "/sign-out", function(_, response)
	cookie.set(response, { name = name, max_age = 0 })
	response:redirect("/sign-in", 303)
end)

chi_middleware(function(request, response, next)
	if request.path == "/sign-in" then
		next()
		return
	end
	local user = keys:decrypt(name, request:cookie(name))
	if not user then
		response:redirect("/sign-in", 303)
		return
	end
	request:set_header("X-User", user)
	next()
end)
