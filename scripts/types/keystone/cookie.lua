---@meta keystone.cookie

--- Cookies: what clients send, what they are sent, and values that they can't make up or read.
---@class keystone.cookie
local cookie = {}

---@class keystone.cookie.Keys
local keys = {}

--- The cookies of a Cookie field, or of several, by name; of several of a name the first. nil is no field.
---@param text string|string[]|nil
---@return table<string, string>
function cookie.parse(text) end

--- The value of a Set-Cookie field. secure is true unless it says otherwise. What no browser would keep is raised.
---@param c keystone.Cookie
---@return string
function cookie.build(c) end

--- Adds a Set-Cookie field to the response, as build makes it.
---@param response keystone.Response
---@param c keystone.Cookie
function cookie.set(response, c) end

--- Secrets of at least 32 bytes, at most 16 of them, or one. The first signs and encrypts, all verify and decrypt. Make it when the script is loaded.
---@param secrets string|string[]
---@return keystone.cookie.Keys
function cookie.keys(secrets) end

--- A value for a cookie of that name that clients can read and can't change.
---@param name string
---@param value string at most 4096 bytes
---@param max_age number seconds that it is good for, 1 or more
---@return string
function keys:sign(name, value, max_age) end

--- The value that sign was given for a cookie of that name, if it isn't over.
---@param name string
---@param text string?
---@return string? value
---@return string? message
function keys:verify(name, text) end

--- A value for a cookie of that name that clients can neither read nor change.
---@param name string
---@param value string at most 4096 bytes
---@param max_age number seconds that it is good for, 1 or more
---@return string
function keys:encrypt(name, value, max_age) end

--- The value that encrypt was given for a cookie of that name, if it isn't over.
---@param name string
---@param text string?
---@return string? value
---@return string? message
function keys:decrypt(name, text) end

return cookie
