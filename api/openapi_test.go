package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/api"
)

// Every route is in the document, and the document describes nothing that is not there.
func TestDocument_HasEveryRoute(t *testing.T) {
	w := newWorld(t)
	routes := w.api.Routes()
	described := w.valid.Operations()
	for i, r := range routes {
		method, path, _ := strings.Cut(r, " ")
		routes[i] = method + " " + api.Root + path
		if !slices.Contains(described, routes[i]) {
			t.Errorf("the document lacks %s", routes[i])
		}
	}
	for _, op := range described {
		if !slices.Contains(routes, op) {
			t.Errorf("the document describes %s, which is not there", op)
		}
	}
	if len(routes) < 2 {
		t.Errorf("only %d routes", len(routes))
	}
}

func TestDocument_IsServedToEverybody(t *testing.T) {
	w := newWorld(t)
	a := w.browser().ask(http.MethodGet, "/.mfa/api/openapi.json", "", http.StatusOK)
	if a.text("openapi") != "3.0.3" {
		t.Errorf("openapi is %q", a.text("openapi"))
	}
}
