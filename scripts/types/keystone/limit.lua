---@meta keystone.limit

--- Rates by keys of the script's choice, counted for the whole tenant; also as the global limit. A key belongs to one limit: use it with the same rate, per and burst everywhere. If the store fails they return nil and a message, so that "if not limit.allow(…)" refuses then.
---@class keystone.limit
local limit = {}

---@class keystone.limit.State
---@field remaining integer tokens left
---@field retry_after number seconds to wait for what was refused; 0 if it was allowed
---@field reset number seconds until the whole burst is there again

--- Takes one token of a bucket that holds burst and gains rate a second. Says whether there was one.
---@param key string
---@param rate number tokens a second
---@param burst? number default rate, at least 1
---@return boolean? allowed
---@return keystone.limit.State|string state or the message
function limit.allow(key, rate, burst) end

---@class keystone.limit.Options
---@field rate number tokens
---@field per? number in so many seconds; default 1
---@field burst? number tokens that the bucket holds; default rate, at least 1
---@field cost? number tokens to take; default 1; 0 looks without taking

--- Takes cost tokens of a bucket that holds burst and gains rate in per seconds. If there aren't enough it takes none.
---@param key string
---@param options keystone.limit.Options
---@return boolean? allowed
---@return keystone.limit.State|string state or the message
function limit.gcra(key, options) end

return limit
