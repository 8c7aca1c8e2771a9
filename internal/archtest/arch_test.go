package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/secondgate/secondgate"

// allowed is the table: what each package may import of ours and of others,
// besides the standard library. Arrows point down only. A package without a line
// fails the test, so that nobody adds one without thinking of its place.
//
// Test files may import more (tests), because they bring the parts together.
var allowed = map[string][]string{
	"": {"caddymodule"},

	"cmd/secondgate": {"", "github.com/caddyserver/caddy/v2"},

	"caddymodule": {
		"api", "doctor", "forwardauth", "guard", "identity/ldap", "identity/local", "identity/oidc", "identity/proxied", "internal/clock", "internal/related",
		"internal/seal", "internal/web", "mfa", "mfa/factor/backupcode", "moving",
		"mfa/factor/otpcode", "mfa/factor/passkey", "mfa/factor/totp", "pages", "sender", "sender/log", "sender/smtp",
		"sender/twilio", "sender/webhook", "session", "store", "store/archive", "store/badger", "store/postgres", "store/transfer",
		"github.com/caddyserver/caddy/v2", "github.com/prometheus/client_golang", "github.com/spf13/cobra",
		"go.opentelemetry.io/otel", "go.uber.org/zap",
		"golang.org/x/net/publicsuffix", "golang.org/x/term",
	},

	"moving":       {"mfa", "go.yaml.in/yaml/v3"},
	"doctor":       {"docs/proxies", "guard"},
	"docs/proxies": {},
	"forwardauth":  {"guard", "internal/web", "mfa", "session"},
	"api":          {"guard", "internal/web", "mfa", "session"},
	"api/apitest":  {"github.com/getkin/kin-openapi"},
	"pages":        {"doctor", "guard", "internal/qr", "internal/related", "internal/web", "mfa", "session", "golang.org/x/text"},
	"guard":        {"internal/web", "mfa", "session"},
	"session":      {"mfa", "github.com/golang-jwt/jwt/v5", "github.com/hashicorp/golang-lru/v2"},

	"mfa":                   {},
	"mfa/factor/backupcode": {"internal/seal", "mfa"},
	"mfa/factor/otpcode":    {"mfa", "github.com/nyaruka/phonenumbers"},
	"mfa/factor/passkey":    {"mfa", "github.com/go-webauthn/webauthn"},
	"mfa/factor/totp":       {"mfa", "github.com/pquerna/otp"},
	"mfa/mfatest":           {"mfa", "github.com/fxamacker/cbor/v2"},

	"identity/oidc":    {"internal/outbound", "mfa", "github.com/coreos/go-oidc/v3", "golang.org/x/oauth2"},
	"identity/ldap":    {"mfa", "github.com/go-ldap/ldap/v3"},
	"identity/proxied": {"mfa"},
	"identity/local":   {"internal/oldhash", "internal/seal", "mfa", "golang.org/x/text"},

	"store":           {"internal/seal", "mfa"},
	"store/badger":    {"internal/durable", "internal/seal", "mfa", "store", "github.com/dgraph-io/badger/v4"},
	"store/postgres":  {"internal/durable", "internal/seal", "mfa", "store", "github.com/jackc/pgx/v5", "github.com/pressly/goose/v3"},
	"store/archive":   {"internal/durable", "internal/seal", "store", "github.com/klauspost/compress"},
	"store/transfer":  {"mfa", "store", "store/archive"},
	"store/storetest": {"mfa", "store"},

	"sender":         {"mfa", "golang.org/x/text"},
	"sender/log":     {"mfa"},
	"sender/smtp":    {"internal/quote", "mfa", "github.com/wneessen/go-mail"},
	"sender/twilio":  {"internal/outbound", "internal/quote", "mfa"},
	"sender/webhook": {"internal/outbound", "mfa"},

	"internal/archtest":   {},
	"internal/clock":      {},
	"internal/durable":    {},
	"internal/oidctest":   {},
	"internal/oldhash":    {"github.com/go-crypt/crypt"},
	"internal/outbound":   {},
	"internal/qr":         {"github.com/boombuler/barcode"},
	"internal/quote":      {},
	"internal/related":    {"golang.org/x/net/publicsuffix"},
	"internal/seal":       {"internal/durable", "golang.org/x/crypto"},
	"internal/pgtest":     {"github.com/jackc/pgx/v5"},
	"internal/slapdtest":  {"github.com/go-ldap/ldap/v3"},
	"internal/web":        {},
	"internal/faultproxy": {},

	"e2e":                     {},
	"e2e/scale":               {},
	"docs/examples/assertion": {},
}

// owned are the foreign libraries that belong to one package: their types show
// nowhere else. Test files may use them, to play the other side.
var owned = map[string][]string{
	"github.com/caddyserver/caddy/v2":     {"caddymodule", "cmd/secondgate", "e2e"},
	"github.com/go-webauthn/webauthn":     {"mfa/factor/passkey"},
	"github.com/pquerna/otp":              {"mfa/factor/totp"},
	"github.com/nyaruka/phonenumbers":     {"mfa/factor/otpcode"},
	"github.com/golang-jwt/jwt/v5":        {"session"},
	"github.com/hashicorp/golang-lru/v2":  {"session"},
	"github.com/dgraph-io/badger/v4":      {"store/badger"},
	"github.com/boombuler/barcode":        {"internal/qr"},
	"github.com/klauspost/compress":       {"store/archive"},
	"github.com/jackc/pgx/v5":             {"internal/pgtest", "store/postgres"},
	"github.com/pressly/goose/v3":         {"store/postgres"},
	"github.com/wneessen/go-mail":         {"sender/smtp"},
	"github.com/prometheus/client_golang": {"caddymodule"},
	"go.opentelemetry.io/otel":            {"caddymodule"},
	"github.com/go-ldap/ldap/v3":          {"identity/ldap", "internal/slapdtest"},
	"golang.org/x/crypto/argon2":          {"internal/seal"},
	"github.com/getkin/kin-openapi":       {"api/apitest"},
	"github.com/coreos/go-oidc/v3":        {"identity/oidc"},
	"golang.org/x/oauth2":                 {"identity/oidc"},
	"github.com/go-crypt/crypt":           {"internal/oldhash"},
	"go.yaml.in/yaml/v3":                  {"moving"},
}

// forbidden are imports that nobody may have.
var forbidden = map[string]string{
	"math/rand":    "secrets come from crypto/rand alone (AC-196)",
	"math/rand/v2": "secrets come from crypto/rand alone (AC-196)",
	"unsafe":       "nothing here is worth it",
}

// tolerated are exceptions to forbidden, with the reason.
var tolerated = map[string]string{
	"sender math/rand/v2":          "jitter of waiting times",
	"store/badger math/rand/v2":    "jitter of waiting times",
	"store/postgres math/rand/v2":  "jitter of waiting times",
	"store/storetest math/rand/v2": "the same users in each run of the tests",
}

// source is one Go file.
type source struct {
	pkg  string // folder below the module
	name string
	file *ast.File
}

func (s source) test() bool { return strings.HasSuffix(s.name, "_test.go") }

func sources(t *testing.T) []source {
	t.Helper()
	list, err := read()
	if err != nil {
		t.Fatalf("reading the sources: %v", err)
	}
	if len(list) < 20 {
		t.Fatalf("found %d files, which cannot be all", len(list))
	}
	return list
}

// read reads them once for all tests.
var read = sync.OnceValues(func() ([]source, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	var list []source
	set := token.NewFileSet()
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(p, root), string(filepath.Separator)))
		if d.IsDir() {
			if rel != "" && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "build") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil && rel != "" {
				return filepath.SkipDir // a module of its own
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		f, err := parser.ParseFile(set, p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		pkg := path.Dir(rel)
		if pkg == "." {
			pkg = ""
		}
		list = append(list, source{pkg: pkg, name: path.Base(rel), file: f})
		return nil
	})
	return list, err
})

func imports(f *ast.File) []string {
	var list []string
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			list = append(list, p)
		}
	}
	return list
}

// ours returns the folder of an import of this module.
func ours(imp string) (string, bool) {
	if imp == module {
		return "", true
	}
	return strings.CutPrefix(imp, module+"/")
}

func standard(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return !strings.Contains(first, ".")
}

func within(imp, library string) bool { return imp == library || strings.HasPrefix(imp, library+"/") }

func TestImports_ArrowsPointDown(t *testing.T) {
	for _, s := range sources(t) {
		may, known := allowed[s.pkg]
		if !known {
			t.Errorf("%s: the package has no line in the table of allowed imports", s.pkg)
			continue
		}
		if s.test() {
			continue
		}
		for _, imp := range imports(s.file) {
			if folder, own := ours(imp); own {
				if !slices.Contains(may, folder) {
					t.Errorf("%s/%s imports %q: the arrow is not in the table", s.pkg, s.name, folder)
				}
				continue
			}
			if standard(imp) {
				continue
			}
			if !slices.ContainsFunc(may, func(lib string) bool { return lib != "" && within(imp, lib) }) {
				t.Errorf("%s/%s imports %s: the library is not in the table", s.pkg, s.name, imp)
			}
		}
	}
}

func TestImports_OneLibraryOnePackage(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for _, imp := range imports(s.file) {
			for lib, owners := range owned {
				if within(imp, lib) && !slices.Contains(owners, s.pkg) {
					t.Errorf("%s/%s imports %s, which belongs to %s", s.pkg, s.name, imp, strings.Join(owners, ", "))
				}
			}
		}
	}
}

func TestImports_RejectsForbidden(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for _, imp := range imports(s.file) {
			why, bad := forbidden[imp]
			if _, ok := tolerated[s.pkg+" "+imp]; bad && !ok {
				t.Errorf("%s/%s imports %s: %s", s.pkg, s.name, imp, why)
			}
		}
	}
}

// HTTP packages never touch a store, and stores never see a request.
func TestImports_StoresAndRequestsAreApart(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for _, imp := range imports(s.file) {
			below := s.pkg == "mfa" || strings.HasPrefix(s.pkg, "mfa/") || within(s.pkg, "store") ||
				within(s.pkg, "identity") || s.pkg == "session"
			if below && (imp == "net/http" || imp == "html/template") {
				t.Errorf("%s/%s imports %s: packages below the edge take values, not requests", s.pkg, s.name, imp)
			}
		}
	}
}

func TestPackages_HaveAComment(t *testing.T) {
	has, seen := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		seen[s.pkg] = true
		if s.file.Doc != nil && len(strings.TrimSpace(s.file.Doc.Text())) > 40 {
			has[s.pkg] = true
		}
	}
	for pkg := range seen {
		if !has[pkg] {
			t.Errorf("package %q has no comment that says what it is for", pkg)
		}
	}
}

// A line for a package that is gone would let its successor in unseen.
func TestTable_NamesOnlyWhatExists(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sources(t) {
		seen[s.pkg] = true
	}
	for pkg := range allowed {
		if !seen[pkg] {
			t.Errorf("the table has a line for %q, which does not exist", pkg)
		}
	}
}
