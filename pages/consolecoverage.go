package pages

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/secondgate/secondgate/mfa"
)

// coveragePage says who has which factors.
type coveragePage struct {
	frame
	Organizations []option
	Organization  string
	Hidden        []option
	Users         int
	Headline      string
	Bars          []bar
	Forecast      string
	Empty         string
}

// bar is one line of the chart: a number, and its share of everybody.
type bar struct {
	Label, Tone, Href string
	N                 int
	Share             string // in per cent, in words
	Width             string // of 100
}

// percent is a share of all, of 100.
func percent(n, all int) float64 {
	if all <= 0 || n <= 0 {
		return 0
	}
	return float64(min(n, all)) * 100 / float64(all)
}

func (v *visit) bar(label, tone, href string, n, all int) bar {
	p := percent(n, all)
	share := strconv.FormatFloat(p, 'f', 0, 64)
	switch {
	case p > 0 && p < 1:
		share = "<1"
	case p > 99 && p < 100:
		share = ">99"
	}
	return bar{Label: label, Tone: tone, Href: href, N: n, Share: v.T("console.percent", "n", share), Width: fmt.Sprintf("%.1f", p)}
}

// of is the organization that the address asks for, "" for everybody.
func (c *console) of() mfa.OrganizationID {
	of, err := mfa.ParseOrganizationID(c.query.Get(paramOf))
	if err != nil {
		return ""
	}
	return of
}

// whose is the organization in words.
func (c *console) whose(of mfa.OrganizationID) string {
	if of == "" {
		of = c.who.Actor.Organization
	}
	if of == "" {
		return ""
	}
	if o, err := c.admin.Organization(of); err == nil {
		return o.Title()
	}
	return string(of)
}

// hidden are the fields that a form with a filter keeps.
func (c *console) hidden() []option {
	if as := c.as(); as != "" {
		return []option{{Value: string(as), Label: paramAs}}
	}
	return nil
}

func (p *Pages) serveCoverage(c *console) {
	of := c.of()
	cov, err := c.admin.Coverage(c.r.Context(), of)
	if err != nil {
		c.failed(err)
		return
	}
	page := coveragePage{frame: c.frame(c.T("console.coverage")), Organizations: c.organizationOptions(of), Organization: c.whose(of), Hidden: c.hidden(), Users: cov.Users}
	page.Forecast = c.link("admin/forecast", paramOf, string(of))
	if cov.Users == 0 {
		page.Empty = c.T("console.coverage.empty")
		c.render(http.StatusOK, "console_coverage", page)
		return
	}
	with := cov.Users - cov.None
	page.Headline = c.T("console.coverage.headline", "n", with, "all", cov.Users, "share", c.bar("", "", "", with, cov.Users).Share)
	listed := func(factor string) string { return c.link(consoleHome, "factor", factor, paramOf, string(of)) }
	page.Bars = append(page.Bars, c.bar(c.T("console.coverage.any"), "good", "", with, cov.Users))
	for _, k := range (mfa.PrimaryKinds | mfa.KindsOf(mfa.BackupCode)).List() {
		page.Bars = append(page.Bars, c.bar(c.kind(k), "", listed(string(k)), cov.Factors[k], cov.Users))
	}
	page.Bars = append(page.Bars, c.bar(c.T("console.factor.none"), "bad", listed(factorNone), cov.None, cov.Users))
	c.render(http.StatusOK, "console_coverage", page)
}

// forecastPage says who would be stopped if a second factor were required now.
type forecastPage struct {
	frame
	Organizations []option
	Organization  string
	Hidden        []option
	Stopped       int
	Headline      string
	Impact        []string
	Bars          []bar
	Grid          grid
}

func (p *Pages) serveForecast(c *console) {
	of, after := c.of(), c.query.Get(paramAfter)
	f, err := c.admin.Forecast(c.r.Context(), of, after, pageSize)
	if err != nil {
		c.failed(err)
		return
	}
	page := forecastPage{frame: c.frame(c.T("console.forecast")), Organizations: c.organizationOptions(of), Organization: c.whose(of), Hidden: c.hidden(), Stopped: f.Stopped}
	page.Bars = []bar{
		c.bar(c.T("console.forecast.through"), "good", "", f.Users-f.Stopped, f.Users),
		c.bar(c.T("console.forecast.stopped"), "bad", "", f.Stopped, f.Users),
	}
	page.Headline = c.T("console.forecast.headline", "n", f.Stopped, "all", f.Users)
	switch {
	case f.Users == 0:
		page.Headline = c.T("console.coverage.empty")
	case f.Stopped == 0:
		page.Headline = c.T("console.forecast.nobody")
	case f.Closed:
		page.Impact = []string{c.T("console.forecast.closed"), c.T("console.forecast.closed.next")}
	default:
		page.Impact = []string{c.T("console.forecast.open"), c.T("console.forecast.open.next")}
	}
	g := grid{ID: "stopped", Caption: c.T("console.forecast.who"), Empty: c.T("console.forecast.nobody"),
		Columns: []string{c.T("console.column.user"), c.T("console.column.factors"), c.T("console.column.seen"), c.T("console.column.where")}}
	for i := range f.Page {
		u := &f.Page[i]
		who := cell{Text: personName(u.DisplayName, u.Name), Href: c.userAddress(u.ID), Tags: c.userTags(u)}
		if u.DisplayName != "" {
			who.Sub = u.Name
		}
		g.Rows = append(g.Rows, gridRow{[]cell{who, c.factorsCell(u), c.when(u.LastSignIn, c.T("console.never")), {Text: u.LastHost}}})
	}
	g.pages(c, "admin/forecast", after, f.Next, paramOf, string(of))
	page.Grid = g
	c.render(http.StatusOK, "console_forecast", page)
}
