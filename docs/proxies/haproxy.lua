-- Asks Secondgate about a request, with nothing but what HAProxy 2.6 and newer bring along.
-- See docs/proxies/haproxy.md.
--
--   http-request lua.secondgate
--
-- It sets txn.mfa_allowed ("1": the request may go on) and the identity headers, or answers
-- the client. Whatever goes wrong is no permission.

local address = os.getenv("SECONDGATE") or "http://127.0.0.1:9091"

local identity = { "remote-user", "remote-name", "remote-email", "remote-groups", "mfa-assertion" }

-- What the gateway looks at, beside what HAProxy itself says.
local asked = { "cookie", "authorization", "origin", "accept", "accept-language", "content-type", "user-agent", "x-requested-with", "early-data",
	"sec-fetch-mode", "sec-fetch-dest", "sec-fetch-site", "upgrade", "sec-websocket-key", "x-original-url", "x-original-method" }

-- What an answer tells the client.
local told = { "location", "www-authenticate", "set-cookie", "content-type", "cache-control", "retry-after",
	"content-security-policy", "x-content-type-options", "referrer-policy", "strict-transport-security", "x-mfa-reason" }

-- The app does not need the gateway's cookies.
local function hide_cookies(txn, lines)
	if not lines then
		return
	end
	txn.http:req_del_header("cookie")
	for i = 0, #lines do
		local kept = {}
		for part in string.gmatch(lines[i], "[^;]+") do
			local name = string.match(part, "^%s*([^=]*)")
			if not (string.match(name, "^__Host%-mfa") or string.match(name, "^__Secure%-mfa") or string.match(name, "^mfa%-%d")) then
				kept[#kept + 1] = string.match(part, "^%s*(.-)%s*$")
			end
		end
		if #kept > 0 then
			txn.http:req_add_header("cookie", table.concat(kept, "; "))
		end
	end
end

local function refuse(txn, status, body)
	local reply = txn:reply({ status = status, body = body or "" })
	reply:add_header("cache-control", "no-store")
	return reply
end

local function first(headers, name)
	local lines = headers[name]
	return lines and lines[0]
end

core.register_action("secondgate", { "http-req" }, function(txn)
	local sent = txn.http:req_get_headers()
	local host = first(sent, "host")
	if not host or sent["host"][1] then
		txn:done(refuse(txn, 400, "One host, please.\n"))
		return
	end
	local headers = {
		["x-forwarded-method"] = { [1] = txn.f:method() },
		["x-forwarded-proto"] = { [1] = txn.f:ssl_fc() == 1 and "https" or "http" },
		["x-forwarded-host"] = { [1] = host },
		-- As the client sent it, with its query: "path" and "url" may have been rewritten.
		["x-forwarded-uri"] = { [1] = txn:get_var("txn.mfa_uri") },
		["x-forwarded-for"] = { [1] = txn.f:src() },
	}
	for _, name in ipairs(asked) do
		local lines = sent[name]
		if lines then
			local all = {}
			for i = 0, #lines do
				all[#all + 1] = lines[i]
			end
			headers[name] = all
		end
	end

	local ok, res = pcall(function()
		return core.httpclient():get({ url = address .. "/.mfa/auth/haproxy", headers = headers, timeout = 3000 })
	end)
	if not ok or not res or not res.status or res.status == 0 then
		txn:done(refuse(txn, 503, "This is not available for a moment. Try again in a few seconds.\n"))
		return
	end
	if res.status == 200 then
		for _, name in ipairs(identity) do
			txn.http:req_del_header(name)
			local value = res.headers[name] and res.headers[name][0]
			if value and value ~= "" then
				txn.http:req_set_header(name, value)
			end
		end
		hide_cookies(txn, sent["cookie"])
		if res.headers["mfa-app-token"] then
			txn.http:req_del_header("authorization")
		end
		txn:set_var("txn.mfa_allowed", "1")
		return
	end

	-- No status that lets a request on, or that changes the protocol, comes from anywhere else.
	local status = res.status
	if status < 300 then
		status = 502
	end
	local reply = refuse(txn, status, txn.f:method() ~= "HEAD" and res.body or "")
	for _, name in ipairs(told) do
		local lines = res.headers[name]
		if lines and name ~= "cache-control" then
			for i = 0, #lines do
				reply:add_header(name, lines[i])
			end
		end
	end
	txn:done(reply)
end)
