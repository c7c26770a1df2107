---@meta keystone.log

--- Lines of the gateway's log, with the tenant and the request they belong to; also as the global log, which can be called: log(message) is log.info(message). A message is cut at 4 KiB, of the fields the first 16 are written, strings cut at 1 KiB; a request writes at most 100 lines, a tenant lua.log_rate bytes a second.
---@class keystone.log
---@overload fun(message: any, fields?: table<string, any>)
local log = {}

--- Usually off: log.level is info.
---@param message any
---@param fields? table<string, any>
function log.debug(message, fields) end

---@param message any
---@param fields? table<string, any>
function log.info(message, fields) end

---@param message any
---@param fields? table<string, any>
function log.warn(message, fields) end

---@param message any
---@param fields? table<string, any>
function log.error(message, fields) end

return log
