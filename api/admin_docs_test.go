package api_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/api"
	"github.com/secondgate/secondgate/mfa"
)

// The page that a problem's type leads to has each of them, and none that there is not.
func TestAdmin_ProblemsAreExplained(t *testing.T) {
	raw, err := os.ReadFile("../docs/api.md")
	must(t, err)
	if !strings.HasSuffix(api.AdminDocs, "/docs/api.md#") {
		t.Errorf("problems are explained at %s", api.AdminDocs)
	}
	reasons := api.AdminReasons()
	for _, reason := range reasons {
		if !strings.Contains(string(raw), `<a id="`+reason+`">`) {
			t.Errorf("nothing explains %q", reason)
		}
	}
	for _, part := range strings.Split(string(raw), `<a id="`)[1:] {
		if reason, _, _ := strings.Cut(part, `"`); !slices.Contains(reasons, reason) {
			t.Errorf("%q is explained, and there is none", reason)
		}
	}
	for _, scope := range mfa.PowerNames() {
		if !strings.Contains(string(raw), "`"+scope+"`") {
			t.Errorf("nothing explains the scope %q", scope)
		}
	}
}
