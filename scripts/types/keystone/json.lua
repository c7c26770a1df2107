---@meta keystone.json

--- JSON (RFC 8259), also as the global json.
---@class keystone.json
---@field null userdata what null decodes to and what encodes to null. It is true in a condition; compare with ==. tostring gives "null"
---@field empty_array table a read-only table that encodes to []
local json = {}

---@class keystone.json.EncodeOptions
---@field pretty? boolean indents by two spaces; default false
---@field sort_keys? boolean sorts the keys of objects; default: the order in which they were set

--- Returns the value as JSON. Tables with keys 1..n are arrays; others, and the empty table, are objects (see json.array). Raises an error for NaN, infinities, functions, mixed and sparse tables, and nesting beyond 100, which cycles come to.
---@param value any
---@param options? keystone.json.EncodeOptions
---@return string
function json.encode(value, options) end

---@class keystone.json.DecodeOptions
---@field max_depth? integer how deep values may be nested: 1 to 1000; default 100
---@field big? "exact"|"string"|"number" integers beyond 2^53: a userdata that prints, compares and encodes digit for digit (the default), a string, or the nearest number

--- Returns what JSON text stands for, or nil and a message with the offset. null becomes json.null, not nil.
---@param text string
---@param options? keystone.json.DecodeOptions
---@return any value
---@return string? message
function json.decode(text, options) end

--- Marks a table, or a new one, as an array, so that it encodes to [] when it is empty, and returns it. A table with another metatable is an error.
---@generic T: table
---@param table? T
---@return T
function json.array(table) end

--- Marks a table, or a new one, as an object: numbers as keys become strings. Returns it. A table with another metatable is an error.
---@generic T: table
---@param table? T
---@return T
function json.object(table) end

return json
