package e2e

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/secondgate/secondgate/api"
	"github.com/secondgate/secondgate/api/apitest"
)

var document = sync.OnceValues(func() (*apitest.Validator, error) {
	raw, err := api.Document()
	if err != nil {
		return nil, err
	}
	return apitest.New(raw)
})

// checkDocument holds an answer of the API against the OpenAPI document: every one that
// these tests get comes here.
func checkDocument(t testing.TB, r *http.Request, res *http.Response, body []byte) {
	t.Helper()
	if !strings.HasPrefix(r.URL.Path, api.Root) {
		return
	}
	v, err := document()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Check(r, res.StatusCode, res.Header, body); err != nil {
		t.Errorf("the document: %v", err)
	}
}
