package apitest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/secondgate/secondgate/api/apitest"
)

const document = `{
	"openapi": "3.0.3", "info": {"title": "t", "version": "1"},
	"paths": {
		"/a/{id}": {"get": {"responses": {"200": {"description": "d", "content": {"application/json": {"schema":
			{"type": "object", "additionalProperties": false, "required": ["n"], "properties": {"n": {"type": "integer"}}}}}}}},
			"parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}]},
		"/a/b": {"delete": {"responses": {"204": {"description": "d"}}}}
	}
}`

func TestValidator_Check(t *testing.T) {
	v, err := apitest.New([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, method, path string
		status             int
		kind, body         string
		good               bool
	}{
		{"as described", "GET", "/a/1", 200, "application/json", `{"n":1}`, true},
		{"HEAD as GET", "HEAD", "/a/1", 200, "application/json", "", true},
		{"no body", "DELETE", "/a/b", 204, "", "", true},
		{"no such path", "GET", "/c", 404, "application/json", `{}`, true},
		{"no such method", "POST", "/a/1", 405, "application/json", `{}`, true},
		{"a name is not empty", "GET", "/a/", 404, "", "", true},

		{"another status", "GET", "/a/1", 404, "application/json", `{"n":1}`, false},
		{"another type", "GET", "/a/1", 200, "text/html", `{"n":1}`, false},
		{"a member more", "GET", "/a/1", 200, "application/json", `{"n":1,"m":2}`, false},
		{"a member less", "GET", "/a/1", 200, "application/json", `{}`, false},
		{"another kind of member", "GET", "/a/1", 200, "application/json", `{"n":"1"}`, false},
		{"a body where there is none", "DELETE", "/a/b", 204, "application/json", `{}`, false},
		{"a path that is not described", "GET", "/c", 200, "application/json", `{}`, false},
		{"a method that is not described", "POST", "/a/1", 200, "application/json", `{"n":1}`, false},
		{"the path without a name comes first", "GET", "/a/b", 200, "application/json", `{"n":1}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{}
			if c.kind != "" {
				h.Set("Content-Type", c.kind)
			}
			err := v.Check(httptest.NewRequest(c.method, c.path, nil), c.status, h, []byte(c.body))
			if (err == nil) != c.good {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestNew_RejectsWhatIsNoDocument(t *testing.T) {
	for _, bad := range []string{"", "{}", `{"openapi":"3.0.3","info":{"title":"t","version":"1"},"paths":{"/a":{"get":{}}}}`} {
		if _, err := apitest.New([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
