package pages

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// consolePolicy is what the console asks of the core about the gateway's policy.
type consolePolicy interface {
	Policy(ctx context.Context) (*mfa.PolicyInfo, error)
	SetPolicy(ctx context.Context, field string, words []string, force bool) error
	ClearPolicy(ctx context.Context, field string, force bool) error
}

// policyPage is the gateway's policy as it holds.
type policyPage struct {
	frame
	Warnings []string
	Grid     grid
}

// policyWords are the names of the fields in words.
var policyWords = map[string]string{
	"factors":               "console.field.factors",
	"require":               "console.field.require",
	"prompt":                "console.field.prompt",
	"organization_required": "console.field.organization_required",
	"enrollment":            "console.field.enrollment",
	"grace":                 "console.field.grace",
	"remember_device":       "console.field.remember_device",
	"auto_enroll":           "console.field.auto_enroll",
	"report_only":           "console.field.report_only",
}

// fieldName is what a field is called.
func (v *visit) fieldName(name string) string {
	if key, ok := policyWords[name]; ok {
		return v.T(key)
	}
	return name
}

func (p *Pages) servePolicy(c *console) {
	info, err := c.admin.Policy(c.r.Context())
	if err != nil {
		c.failed(err)
		return
	}
	page := policyPage{frame: c.frame(c.T("console.policy")), Warnings: info.Warnings}
	g := grid{ID: "policy", Caption: c.T("console.policy"),
		Columns: []string{c.T("console.column.rule"), c.T("console.column.value"), c.T("console.column.from")}}
	change := c.may(mfa.ChangePolicy)
	if change {
		g.Columns = append(g.Columns, c.T("console.column.do"))
	}
	for _, f := range info.Fields {
		called := c.fieldName(f.Field)
		value := cell{Text: f.Value, Mono: true}
		if f.Value == "" {
			value = cell{Text: c.T("console.policy.idle")}
		}
		from := cell{Text: c.T("console.from.default")}
		switch f.From {
		case mfa.FromConfiguration:
			from.Text = c.T("console.from.configuration")
		case mfa.FromStore:
			from.Text = c.T("console.from.stored")
		}
		if f.Stored != "" {
			from.Tags = []tag{{c.T("console.policy.unfit", "value", f.Stored), "bad"}}
		}
		row := []cell{{Text: called, Sub: f.Field}, value, from}
		if change {
			do := cell{}
			if !f.Fixed || f.Stored != "" {
				do.Actions = []rowAction{c.rowAction(c.T("console.change"), called, c.link("admin/policy/change", paramID, f.Field), false)}
			}
			row = append(row, do)
		}
		g.Rows = append(g.Rows, gridRow{row})
	}
	page.Grid = g
	c.render(http.StatusOK, "console_policy", page)
}

// policyChange returns the form for one field. It has answered where it reports false.
func (c *console) policyChange() (formPage, *mfa.FieldInfo, bool) {
	info, err := c.admin.Policy(c.r.Context())
	if err != nil {
		c.failed(err)
		return formPage{}, nil, false
	}
	i := slices.IndexFunc(info.Fields, func(f mfa.FieldInfo) bool { return f.Field == c.query.Get(paramID) })
	if i < 0 {
		c.missing()
		return formPage{}, nil, false
	}
	f := &info.Fields[i]
	called := c.fieldName(f.Field)
	page := formPage{
		frame: c.frame(c.T("console.policy.change", "field", called)), Submit: c.T("save"),
		Cancel: c.link("admin/policy"),
	}
	value, do := f.Value, "set"
	if f.From == mfa.FromDefault && f.Stored == "" {
		do = "clear"
	}
	if c.r.Method == http.MethodPost {
		value, do = c.form(f.Field), c.form("do")
	}
	clear := option{"clear", c.T("console.policy.clear"), c.T("console.policy.clear.what"), do == "clear"}
	if f.Fixed {
		// What the configuration names can only be tidied up here.
		page.Text = append(page.Text, c.T("console.policy.fixed"))
		clear.Selected = true
		page.Fields = []field{{Kind: "choice", Name: "do", Label: called, Options: []option{clear}}}
		return page, f, true
	}
	page.Fields = []field{
		{Kind: "choice", Name: "do", Label: called, Options: []option{clear, {"set", c.T("console.policy.set"), "", do == "set"}}},
		{Kind: "text", Name: f.Field, Label: c.T("console.column.value"), Hint: c.T("console.policy.values", "values", f.Values), Value: value, Max: 100},
	}
	return page, f, true
}

func (p *Pages) serveChangePolicy(c *console) {
	if page, _, ok := c.policyChange(); ok {
		c.show(http.StatusOK, page)
	}
}

func (p *Pages) postChangePolicy(c *console) {
	page, f, ok := c.policyChange()
	if !ok {
		return
	}
	var err error
	switch c.form("do") {
	case "clear":
		err = c.admin.ClearPolicy(c.r.Context(), f.Field, c.forced())
	case "set":
		words := strings.FieldsFunc(c.form(f.Field), func(r rune) bool { return r == ' ' || r == ',' })
		err = c.admin.SetPolicy(c.r.Context(), f.Field, words, c.forced())
	default:
		err = &mfa.PolicyError{Err: &fieldError{"do", c.T("console.policy.which")}}
	}
	if err != nil {
		c.notSaved(page, err)
		return
	}
	c.done("saved", "admin/policy")
}
