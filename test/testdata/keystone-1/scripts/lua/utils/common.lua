-- For other scripts; no tenant names it.
function set_cors(response, origin)
    response:header("Access-Control-Allow-Origin", origin or "*")
end
