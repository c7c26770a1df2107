---@meta keystone.crypto

--- Digests, encodings, random values.
---@class keystone.crypto
local crypto = {}

--- How bytes are written: "hex" (lower case, the default), "raw", "base64", "base64url" (without padding).
---@alias keystone.crypto.Form "hex"|"raw"|"base64"|"base64url"

--- The MD5 digest. Broken: not for security.
---@param s string
---@param form? keystone.crypto.Form
---@return string
function crypto.md5(s, form) end

--- The SHA-1 digest. Broken: not for security.
---@param s string
---@param form? keystone.crypto.Form
---@return string
function crypto.sha1(s, form) end

---@param s string
---@param form? keystone.crypto.Form
---@return string
function crypto.sha256(s, form) end

---@param s string
---@param form? keystone.crypto.Form
---@return string
function crypto.sha512(s, form) end

--- The HMAC (RFC 2104) of s.
---@param algorithm "sha256"|"sha512"|"sha1"|"md5"
---@param key string
---@param s string
---@param form? keystone.crypto.Form
---@return string
function crypto.hmac(algorithm, key, s, form) end

--- Whether two strings are equal, in a time that tells nothing but their lengths. Use it for whatever is secret.
---@param a string
---@param b string
---@return boolean
function crypto.equal(a, b) end

--- Base64 (RFC 4648), padded.
---@param s string
---@return string
function crypto.base64_encode(s) end

--- The bytes of Base64, with or without padding, or nil and a message.
---@param s string
---@return string? bytes
---@return string? message
function crypto.base64_decode(s) end

--- Base64 for URLs, without padding.
---@param s string
---@return string
function crypto.base64url_encode(s) end

--- The bytes of Base64 for URLs, with or without padding, or nil and a message.
---@param s string
---@return string? bytes
---@return string? message
function crypto.base64url_decode(s) end

--- Two lower-case digits for each byte.
---@param s string
---@return string
function crypto.hex_encode(s) end

--- The bytes of hexadecimal digits in either case, or nil and a message.
---@param s string
---@return string? bytes
---@return string? message
function crypto.hex_decode(s) end

--- n bytes, at most 65536, that nobody can guess.
---@param n integer
---@return string
function crypto.random(n) end

--- n random bytes as 2n hexadecimal digits.
---@param n integer
---@return string
function crypto.random_hex(n) end

--- A random UUID (version 4).
---@return string
function crypto.uuid() end

--- A UUID that sorts by the millisecond in which it was made (version 7).
---@return string
function crypto.uuid7() end

return crypto
