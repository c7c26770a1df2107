---@meta keystone.shared

--- A dictionary that all VMs of the tenant share, also as the global shared. It survives reloads, not restarts; lua.shared_memory bounds it, and what was used least recently makes room. Keys are strings of at most 64 KiB, values strings, numbers and booleans. Each function is atomic. Failures of the store are returned as nil and a message.
---@class keystone.shared
local shared = {}

---@alias keystone.shared.Value string|number|boolean

--- Returns the value of a key; nil if it is absent or its ttl is over.
---@param key string
---@return keystone.shared.Value? value
---@return string? message
function shared.get(key) end

--- Gives a key a value. ttl is in seconds, more than 0; without it the entry stays until its room is needed.
---@param key string
---@param value keystone.shared.Value
---@param ttl? number
---@return true? ok
---@return string? message
function shared.set(key, value, ttl) end

--- Sets a key only if it is absent, and says whether it did.
---@param key string
---@param value keystone.shared.Value
---@param ttl? number seconds
---@return boolean? added
---@return string? message
function shared.add(key, value, ttl) end

--- Adds to a number and returns the sum. An absent key counts as start and gets ttl; a present one keeps its own.
---@param key string
---@param by? number default 1
---@param start? number default 0
---@param ttl? number seconds
---@return number? value
---@return string? message
function shared.incr(key, by, start, ttl) end

--- Forgets a key, and says whether it was there.
---@param key string
---@return boolean? deleted
---@return string? message
function shared.delete(key) end

--- Returns how many seconds are left of a key's life; -1 is without end, nil an absent key.
---@param key string
---@return number? seconds
---@return string? message
function shared.ttl(key) end

return shared
