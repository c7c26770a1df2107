config { services = { "old", "new" } }

local function group(visitor)
	local r = request("GET", "/", { cookies = { visitor = visitor } })
	expect(r.status):equals(200)
	return r.headers["X-Group"], r
end

test("a new visitor gets a cookie and stays in a group", function()
	local r = request("GET", "/")
	local visitor = r.headers["Set-Cookie"]:match("^visitor=([%x-]+);")
	for _ = 1, 3 do
		local again, response = group(visitor)
		expect(again):equals(r.headers["X-Group"])
		expect(response.headers["Set-Cookie"]):is_nil()
	end
end)

test("the groups go to their targets, in about the right shares", function()
	for i = 1, 200 do
		group(("00000000-0000-4000-8000-%012x"):format(i))
	end
	expect(#upstream("old").requests + #upstream("new").requests):equals(200)
	expect(#upstream("new").requests):at_least(20)
	expect(#upstream("new").requests):at_most(60)
	expect(upstream("new").last.headers["X-Group"]):equals("new")
end)

test("a cookie that is none of ours is replaced", function()
	for _, cookie in ipairs { ("x"):rep(36), "abc", "" } do
		local _, r = group(cookie)
		expect(r.headers["Set-Cookie"]):matches("^visitor=")
	end
end)
