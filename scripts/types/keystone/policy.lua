---@meta keystone.policy

--- The policies of the configuration, asked by scripts where they like.
---@class keystone.policy
local policy = {}

---@class keystone.policy.Policy
local made = {}

---@alias keystone.policy.Name "rate_limit"|"concurrency"|"ip"|"user_agent"|"referer"|"csrf"|"basic_auth"|"api_key"|"jwt"|"forward_auth"|"redirect"|"maintenance"

--- A policy, configured as in tenants[].policies: policy.new("rate_limit", { rate = "10/s", by = "client" }). Only while scripts are loaded. All VMs share what it counts.
---@param name keystone.policy.Name
---@param config? table
---@return keystone.policy.Policy
function policy.new(name, config) end

--- Whether the policy lets the request pass. If not, the response is what it answers: return then, without next.
---@param request? keystone.Request without it and the response, those of the request that runs
---@param response? keystone.Response
---@return boolean
function made:judge(request, response) end

return policy
