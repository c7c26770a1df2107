---@meta keystone.jwt

--- JSON Web Tokens, signed. An unsigned one is never accepted, nor a public key as the secret of HS256.
---@class keystone.jwt
local jwt = {}

---@alias keystone.jwt.Algorithm "HS256"|"HS384"|"HS512"|"RS256"|"RS384"|"RS512"|"PS256"|"PS384"|"PS512"|"ES256"|"ES384"|"ES512"|"EdDSA"

---@class keystone.jwt.VerifyOptions
---@field key? string a secret for HS256, HS384, HS512, or a public key or certificate as PEM
---@field jwks? string instead of key: the URL of a key set, cached for the tenant
---@field algorithms? keystone.jwt.Algorithm[]|keystone.jwt.Algorithm the accepted ones; required with a secret, otherwise all that fit the key
---@field issuer? string what iss must be
---@field audience? string|string[] one of these must be in aud
---@field leeway? number seconds by which clocks may differ: 0 to 3600; default 0
---@field required? string[] claims that must be there; default {"exp"}; {} accepts tokens that never expire

--- Returns the claims and the header of a token whose signature, times, issuer and audience are right; nil and a message for any other, and for nil. Wrong options are raised.
---@param token? string
---@param options keystone.jwt.VerifyOptions
---@return table<string, any>? claims
---@return table<string, any>|string header or the message
function jwt.verify(token, options) end

--- Returns what a token says, without looking whether it is true. Anybody can write such a token.
---@param token? string
---@return table<string, any>? claims
---@return table<string, any>|string header or the message
function jwt.decode_unverified(token) end

---@class keystone.jwt.SignOptions
---@field key string a secret for HS256, HS384, HS512, or a private key as PEM
---@field algorithm keystone.jwt.Algorithm
---@field kid? string names the key in the header
---@field typ? string the header's type; default "JWT"

--- Returns a token with the claims, signed. No claim is added: set exp yourself.
---@param claims table<string, any>
---@param options keystone.jwt.SignOptions
---@return string token
function jwt.sign(claims, options) end

return jwt
