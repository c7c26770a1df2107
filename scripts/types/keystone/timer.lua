---@meta keystone.timer

--- Functions that run by themselves, while no request does. They are declared while scripts are loaded, at most lua.max_timers (10), and run once for the tenant, on one of its VMs, within the limits of a request and without one.
---@class keystone.timer
local timer = {}

--- Has the function run again and again, the first time after a random part of the interval. It doesn't run while it still does.
---@param seconds number 1 to 2592000
---@param f fun()
function timer.every(seconds, f) end

--- Has the function run once, after so many seconds.
---@param seconds number 1 to 2592000
---@param f fun()
function timer.after(seconds, f) end

return timer
