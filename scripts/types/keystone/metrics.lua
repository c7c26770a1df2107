---@meta keystone.metrics

--- Counters and gauges of the tenant's own, which the admin API's /metrics shows as script_NAME with the label tenant. They live as long as the process, across reloads. A tenant has at most 500 series of 50 names; updates of further ones are dropped and counted.
---@class keystone.metrics
local metrics = {}

---@alias keystone.metrics.Labels table<string, string|number|boolean> at most 4; the values are cut at 128 bytes

--- Adds to a counter. Its name gets "_total" at its end if it has none.
---@param name string letters, digits and _, 64 at most
---@param amount? number 0 or more; default 1
---@param labels? keystone.metrics.Labels
function metrics.add(name, amount, labels) end

--- Sets a gauge, whose name doesn't end with "_total".
---@param name string letters, digits and _, 64 at most
---@param value number
---@param labels? keystone.metrics.Labels
function metrics.set(name, value, labels) end

--- Returns the value of a gauge or a counter, nil if there is none.
---@param name string
---@param labels? keystone.metrics.Labels
---@return number? value
function metrics.get(name, labels) end

return metrics
