config { tenant = "shop", services = { "shop-1", "shop-2" } }

test("a route answers by itself", function()
	local r = request("GET", "/hello/Ada%20L")
	expect(r.status):equals(200)
	expect(r:json()):equals({ hello = "Ada L", tenant = "shop" })
	expect(upstream("shop-1").requests):is_empty()
	expect(upstream("shop-2").requests):is_empty()
end)

test("all responses have the security fields", function()
	for _, path in ipairs { "/hello/Ada", "/catalog", "/" } do
		expect(request("GET", path).headers["X-Frame-Options"]):equals("DENY")
	end
end)

test("a group goes to its target", function()
	for group, target in pairs { old = "shop-1", new = "shop-2" } do
		for i = 1, 3 do
			local r = request("GET", "/catalog/7", { cookies = { group = group }, headers = { ["X-Shop-Group"] = "x" } })
			expect(r.headers["Set-Cookie"]):is_nil()
			expect(#upstream(target).requests):equals(i)
		end
		expect(upstream(target).last.headers["X-Shop-Group"]):equals(group)
	end
end)

test("a new visitor, and one with a cookie of their own, gets a group", function()
	for _, cookie in ipairs { "other", "__index", "" } do
		expect(request("GET", "/catalog", { cookies = { group = cookie } }):cookie("group")):matches("^%l+$")
	end
	expect(request("GET", "/catalog"):cookie("group")):is_not_nil()
end)

test("elsewhere there are no groups", function()
	request("GET", "/", { headers = { ["X-Shop-Group"] = "new" } })
	local seen = upstream("shop-1").last or upstream("shop-2").last
	expect(seen.headers["X-Shop-Group"]):is_nil()
end)
