package caddymodule

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// described returns the metrics that a configuration registers, each with its labels.
func described(t *testing.T) map[string][]string {
	t.Helper()
	text := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	found := map[string][]string{}
	for _, c := range (&App{logger: zap.NewNop()}).metricCollectors() {
		descs := make(chan *prometheus.Desc, 10)
		c.Describe(descs)
		close(descs)
		for d := range descs {
			m := text.FindStringSubmatch(d.String())
			if m == nil {
				t.Fatalf("%s has another form than the test knows", d)
			}
			labels := strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' })
			slices.Sort(labels)
			found[m[1]] = labels
		}
	}
	if len(found) < 20 {
		t.Fatalf("%d metrics, which cannot be all", len(found))
	}
	return found
}

// Names follow the convention: our prefix, base units, counters end in _total.
func TestMetrics_Names(t *testing.T) {
	name := regexp.MustCompile(`^secondgate(_[a-z0-9]+)+$`)
	for metric, labels := range described(t) {
		if !name.MatchString(metric) {
			t.Errorf("%s", metric)
		}
		for _, l := range labels {
			if !regexp.MustCompile(`^[a-z_]+$`).MatchString(l) || slices.Contains([]string{"user", "host", "session", "network", "path", "instance", "job", "le"}, l) {
				t.Errorf("%s has a label %q", metric, l)
			}
		}
	}
}

// The table of the document has every metric with its labels, and no other.
func TestMetrics_AreDocumented(t *testing.T) {
	raw, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile("`([^`]+)`")
	documented := map[string][]string{}
	for line := range strings.Lines(string(raw)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`secondgate_") {
			continue
		}
		var labels []string
		for _, m := range code.FindAllStringSubmatch(cells[2], -1) {
			labels = append(labels, m[1])
		}
		slices.Sort(labels)
		documented[code.FindStringSubmatch(cells[1])[1]] = labels
		if len(strings.TrimSpace(cells[3])) < 10 {
			t.Errorf("nothing is said of %s", cells[1])
		}
	}
	for name, labels := range described(t) {
		if got, ok := documented[name]; !ok || !slices.Equal(got, labels) {
			t.Errorf("%s has labels %v; the document says %v (%v)", name, labels, got, ok)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("the document has %s, which there is not", name)
	}
}

// dashboard is what the test reads of a Grafana dashboard.
type dashboard struct {
	Title         string
	UID           string
	SchemaVersion int
	Templating    struct{ List []variable }
	Panels        []panel
}

type variable struct {
	Name, Type, Definition string
	Query                  any
	Datasource             *datasource
}

type datasource struct{ Type, UID string }

type panel struct {
	ID         int
	Type       string
	Title      string
	Datasource *datasource
	GridPos    struct{ X, Y, W, H int }
	Panels     []panel
	Targets    []struct {
		RefID      string
		Expr       string
		Datasource *datasource
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	raw, err := os.ReadFile("../docs/grafana/secondgate.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// The dashboard shows every metric that the gateway registers, and asks for nothing
// else: each name and label of each expression is one that there is.
func TestDashboard_FitsTheMetrics(t *testing.T) {
	d := readDashboard(t)
	registered := described(t)
	shown := map[string]bool{}
	n := 0
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			n++
			used, err := checkExpr(target.Expr, registered)
			if err != nil {
				t.Errorf("%s: %v\n%s", p.Title, err, target.Expr)
			}
			for _, name := range used {
				shown[name] = true
			}
		}
	}
	if n < 20 {
		t.Errorf("%d expressions", n)
	}
	for name := range registered {
		if !shown[name] {
			t.Errorf("%s is on no panel", name)
		}
	}
	for _, v := range d.Templating.List {
		if v.Definition == "" {
			continue
		}
		m := regexp.MustCompile(`^label_values\((\w+), instance\)$`).FindStringSubmatch(v.Definition)
		if m == nil || registered[m[1]] == nil {
			t.Errorf("the variable %s asks for %s", v.Name, v.Definition)
		}
	}
}

// Grafana takes the file as it is: of a version of 10 or newer, with the data source as
// a variable, and every panel in a place of its own.
func TestDashboard_IsWhole(t *testing.T) {
	d := readDashboard(t)
	if d.Title == "" || d.UID == "" || d.SchemaVersion < 38 {
		t.Errorf("%q %q, schema %d", d.Title, d.UID, d.SchemaVersion)
	}
	if vars := d.Templating.List; len(vars) == 0 || vars[0].Name != "datasource" || vars[0].Type != "datasource" || vars[0].Query != "prometheus" {
		t.Errorf("variables: %+v", vars)
	}
	ours := func(s *datasource) bool { return s != nil && s.Type == "prometheus" && s.UID == "${datasource}" }
	ids, cells, titles := map[int]bool{}, map[[2]int]string{}, map[string]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 || p.Title == "" || titles[p.Title] {
			t.Errorf("the panel %d %q has no name of its own", p.ID, p.Title)
		}
		ids[p.ID], titles[p.Title] = true, true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, taken := cells[[2]int{x, y}]; taken || x >= 24 {
					t.Fatalf("%q and %q lie on each other, or beyond the edge", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			if len(p.Targets)+len(p.Panels) > 0 {
				t.Errorf("the row %q holds panels that the test does not see", p.Title)
			}
			continue
		}
		if !ours(p.Datasource) || len(p.Targets) == 0 {
			t.Errorf("%q: data source %+v, %d expressions", p.Title, p.Datasource, len(p.Targets))
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if !ours(target.Datasource) || target.RefID == "" || refs[target.RefID] {
				t.Errorf("%q: expression %q, data source %+v", p.Title, target.RefID, target.Datasource)
			}
			refs[target.RefID] = true
		}
	}
}

// The check finds what is wrong.
func TestCheckExpr(t *testing.T) {
	registered := map[string][]string{
		"secondgate_a_total": {"action"}, "secondgate_b_seconds": {"operation"}, "secondgate_c": nil,
	}
	for _, good := range []string{
		`sum by (action) (rate(secondgate_a_total{instance=~"$instance", action!="allow"}[$__rate_interval]))`,
		`histogram_quantile(0.99, sum by (le, operation) (rate(secondgate_b_seconds_bucket[5m])))`,
		`max(secondgate_c{job="x"}) / sum(increase(secondgate_a_total[$__range]))`,
	} {
		if _, err := checkExpr(good, registered); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for expr, why := range map[string]string{
		`sum(rate(secondgate_d_total[5m]))`:              "no such metric",
		`sum(rate(secondgate_a[5m]))`:                    "no such metric",
		`sum(rate(secondgat_a_total[5m]))`:               "not known",
		`sum(rate(secondgate_a_total{reason="x"}[5m]))`:  "no label",
		`sum(secondgate_a_total)`:                        "counter without",
		`sum by (reason) (rate(secondgate_a_total[5m]))`: "no label",
		`sum by (le) (rate(secondgate_a_total[5m]))`:     "no label",
		`rate(secondgate_c[5m])`:                         "rate of",
		`sum(secondgate_b_seconds)`:                      "no such metric",
		`summ(secondgate_c)`:                             "not known",
		`max(secondgate_c`:                               "closed",
		`max(secondgate_c{instance=~"$instance})`:        "closed",
		`1 + 1`: "no metric",
		`histogram_quantile(0.5, rate(secondgate_b_seconds_le[5m]))`: "no such metric",
	} {
		if _, err := checkExpr(expr, registered); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", expr, err, why)
		}
	}
}

var (
	// exprToken are the tokens of PromQL that the dashboard needs.
	exprToken = regexp.MustCompile(`^(?:"(?:[^"\\]|\\.)*"|[a-zA-Z_:][a-zA-Z0-9_:]*|[0-9.]+[a-z]*|\$[a-zA-Z_]+|=~|!~|!=|>=|<=|==|[-+*/(){}\[\],=<>])`)
	// exprFunctions are the functions, operators and words that it uses.
	exprFunctions = []string{"sum", "max", "by", "rate", "increase", "histogram_quantile"}
)

// checkExpr reads an expression, and returns the metrics in it, or what is wrong.
func checkExpr(expr string, registered map[string][]string) ([]string, error) {
	var tokens []string
	for rest := strings.TrimSpace(expr); rest != ""; rest = strings.TrimSpace(rest) {
		token := exprToken.FindString(rest)
		if token == "" {
			return nil, fmt.Errorf("at %q: not closed, or nothing of PromQL", rest)
		}
		tokens = append(tokens, token)
		rest = rest[len(token):]
	}
	at := func(i int) string {
		if i < 0 || i >= len(tokens) {
			return ""
		}
		return tokens[i]
	}
	closes := map[string]string{"(": ")", "{": "}", "[": "]"}
	word := regexp.MustCompile(`^[a-zA-Z_]`)
	var open, asked []string
	used, allowed := map[string]bool{}, map[string]bool{"instance": true, "job": true}
	grouping := false // inside "by ( … )"
	for i, token := range tokens {
		switch {
		case closes[token] != "":
			open = append(open, token)
			grouping = token == "(" && at(i-1) == "by"
		case token == ")" || token == "}" || token == "]":
			if len(open) == 0 || closes[open[len(open)-1]] != token {
				return nil, fmt.Errorf("%q is closed that was not opened", token)
			}
			open, grouping = open[:len(open)-1], false
		case !word.MatchString(token):
		case grouping, len(open) > 0 && open[len(open)-1] == "{" && slices.Contains([]string{"=", "!=", "=~", "!~"}, at(i+1)):
			asked = append(asked, token)
		case strings.HasPrefix(token, "secondgate_"):
			name, part := token, ""
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				if base, ok := strings.CutSuffix(token, suffix); ok {
					name, part = base, suffix
				}
			}
			labels, ok := registered[name]
			// A gauge of seconds is an offset; the others are histograms.
			histogram := strings.HasSuffix(name, "_seconds") && !strings.HasSuffix(name, "_offset_seconds")
			if !ok || histogram != (part != "") {
				return nil, fmt.Errorf("%s: there is no such metric", token)
			}
			// A counter as it is says nothing, and the rate of a gauge nothing either.
			rated := at(i-1) == "(" && (at(i-2) == "rate" || at(i-2) == "increase")
			if counts := strings.HasSuffix(name, "_total") || part != ""; counts != rated {
				return nil, fmt.Errorf("%s: rate of a gauge, or a counter without", token)
			}
			used[name] = true
			for _, l := range labels {
				allowed[l] = true
			}
			if part == "_bucket" {
				allowed["le"] = true
			}
		case !slices.Contains(exprFunctions, token):
			return nil, fmt.Errorf("%s: not known", token)
		}
	}
	switch {
	case len(open) > 0:
		return nil, fmt.Errorf("%q is not closed", open[len(open)-1])
	case len(used) == 0:
		return nil, fmt.Errorf("no metric in it")
	}
	for _, l := range asked {
		if !allowed[l] {
			return nil, fmt.Errorf("no metric in it has a label %q: no label of that name", l)
		}
	}
	return slices.Sorted(maps.Keys(used)), nil
}
