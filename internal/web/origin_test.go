package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// AC-121, AC-125: who may ask with our cookies.
func TestSameOrigin_AC121(t *testing.T) {
	const own = "https://app.a.test:8443"
	for _, c := range []struct {
		name, method string
		header       http.Header
		want         bool
	}{
		{"our page reads", "GET", http.Header{"Sec-Fetch-Site": {"same-origin"}}, true},
		{"our page changes", "POST", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {own}}, true},
		{"an older browser", "POST", http.Header{"Origin": {own}}, true},
		{"no browser", "POST", http.Header{}, true},
		{"a person types the address", "GET", http.Header{"Sec-Fetch-Site": {"none"}}, true},
		{"nobody types a change", "POST", http.Header{"Sec-Fetch-Site": {"none"}}, false},
		{"another site reads", "GET", http.Header{"Sec-Fetch-Site": {"cross-site"}}, false},
		{"another site reads, with CORS", "GET", http.Header{"Origin": {"https://evil.test"}}, false},
		{"a sibling", "GET", http.Header{"Sec-Fetch-Site": {"same-site"}}, false},
		{"another port", "POST", http.Header{"Origin": {"https://app.a.test"}}, false},
		{"without TLS", "POST", http.Header{"Origin": {"http://app.a.test:8443"}}, false},
		{"another case", "POST", http.Header{"Origin": {"https://APP.a.test:8443"}}, false},
		{"a sandbox", "POST", http.Header{"Origin": {"null"}}, false},
		{"a sandbox that says otherwise", "POST", http.Header{"Origin": {"null"}, "Sec-Fetch-Site": {"same-origin"}}, false},
		{"two origins", "POST", http.Header{"Origin": {own, own}}, false},
		{"two sites", "POST", http.Header{"Origin": {own}, "Sec-Fetch-Site": {"same-origin", "same-origin"}}, false},
		{"a word that nobody knows", "GET", http.Header{"Sec-Fetch-Site": {"friendly"}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, own+"/.mfa/api/account", nil)
			r.Header = c.header
			if got := SameOrigin(r, own); got != c.want {
				t.Errorf("%v", got)
			}
		})
	}
}
