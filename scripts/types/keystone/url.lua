---@meta keystone.url

--- URLs (RFC 3986), of at most 64 KiB.
---@class keystone.url
local url = {}

---@class keystone.url.Parts
---@field scheme? string lower case
---@field user? string
---@field password? string
---@field host? string with the port
---@field hostname? string without it; IPv6 without brackets
---@field port? integer
---@field path? string escaped; always there in what url.parse returns
---@field query? string|table escaped, without "?"; url.build takes a table too, as url.encode_query
---@field fragment? string escaped, without "#"
---@field opaque? string of URLs like mailto:a@b

--- Returns the parts that a URL has, or nil and a message.
---@param s string
---@return keystone.url.Parts? parts
---@return string? message
function url.parse(s) end

--- Returns the URL of parts, or nil and a message. host goes before hostname and port.
---@param parts keystone.url.Parts
---@return string? url
---@return string? message
function url.build(parts) end

--- Returns what a reference on a page at base means, or nil and a message.
---@param base string
---@param reference string
---@return string? url
---@return string? message
function url.join(base, reference) end

--- Returns the parameters of a query, with or without "?", or nil and a message. A name that is repeated has a list of values, one without = has "", + is a space.
---@param s string
---@return table<string, string|string[]>? parameters
---@return string? message
function url.query(s) end

--- Returns a query without "?", sorted by name; a list repeats its name.
---@param parameters table<string, string|number|boolean|(string|number|boolean)[]>
---@return string
function url.encode_query(parameters) end

--- Escapes all but letters, digits, "-", ".", "_" and "~": for one component.
---@param s string
---@return string
function url.escape(s) end

--- Escapes what can't stand in a path; slashes stay.
---@param s string
---@return string
function url.escape_path(s) end

--- Turns %XX into bytes (+ stays), or returns nil and a message.
---@param s string
---@return string? plain
---@return string? message
function url.unescape(s) end

return url
