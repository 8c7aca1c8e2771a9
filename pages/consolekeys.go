package pages

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// listPage is a page that is one table, with what can be begun from it.
type listPage struct {
	frame
	Text     []string
	Grid     grid
	New      string // the address where one is made; "": not by this person
	NewLabel string
}

func (p *Pages) serveKeys(c *console) {
	list, err := c.admin.APIKeys(c.r.Context())
	if err != nil {
		c.failed(err)
		return
	}
	page := listPage{frame: c.frame(c.T("console.keys")), Text: []string{c.T("console.keys.text")}, New: c.link("admin/key/make"), NewLabel: c.T("console.key.make")}
	g := grid{ID: "keys", Caption: c.T("console.keys"), Empty: c.T("console.keys.empty"),
		Columns: []string{c.T("console.column.name"), c.T("console.column.scopes"), c.T("console.column.expires"), c.T("console.column.used"), c.T("console.column.do")}}
	for _, k := range list {
		name := cell{Text: k.Name, Sub: k.ID}
		if k.ByName != "" {
			name.Sub += " · " + c.T("event.by", "actor", k.ByName)
		}
		scopes := cell{Text: strings.Join(k.Powers.List(), ", ")}
		if k.Organization != "" {
			scopes.Sub = c.T("console.key.only", "organization", string(k.Organization))
		}
		expires := c.exactly(k.Expires)
		if !c.p.now().Before(k.Expires) {
			expires.Tags = []tag{{c.T("console.key.over"), "bad"}}
		}
		used := c.when(k.LastUsed, c.T("console.never"))
		used.Sub = k.LastNetwork
		g.Rows = append(g.Rows, gridRow{[]cell{name, scopes, expires, used, {Actions: []rowAction{c.rowAction(c.T("console.key.revoke"), k.Name, c.link("admin/key/revoke", paramID, k.ID), true)}}}})
	}
	page.Grid = g
	c.render(http.StatusOK, "console_list", page)
}

// keyLives are how long a key may be good.
var keyLives = []time.Duration{24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, 90 * 24 * time.Hour, 365 * 24 * time.Hour}

// keyLife is the one that is chosen where nothing else is.
const keyLife = 90 * 24 * time.Hour

func (c *console) keyForm() formPage {
	page := formPage{frame: c.frame(c.T("console.key.make")), Text: []string{c.T("console.key.text")}, Submit: c.T("console.key.make"), Cancel: c.link("admin/keys")}
	scopes := field{Kind: "checks", Name: "scope", Label: c.T("console.column.scopes"), Hint: c.T("console.key.scopes.hint")}
	for _, name := range c.who.Actor.Powers.List() {
		scopes.Options = append(scopes.Options, option{Value: name, Label: name, Selected: slices.Contains(c.r.PostForm["scope"], name)})
	}
	life := field{Kind: "select", Name: "life", Label: c.T("console.life")}
	chosen := c.keyLife()
	for _, d := range keyLives {
		life.Options = append(life.Options, option{Value: d.String(), Label: c.duration(d), Selected: d == chosen})
	}
	page.Fields = []field{
		{Kind: "text", Name: "name", Label: c.T("console.column.name"), Hint: c.T("console.key.name.hint"), Value: c.form("name"), Max: 64},
		scopes, life,
	}
	if of := c.organizationOptions(mfa.OrganizationID(c.form("organization"))); len(of) > 0 {
		all := option{Value: "", Label: c.T("console.everybody"), Selected: c.form("organization") == ""}
		page.Fields = append(page.Fields, field{Kind: "select", Name: "organization", Label: c.T("console.column.organization"), Hint: c.T("console.key.organization.hint"), Options: append([]option{all}, of...)})
	}
	return page
}

func (c *console) keyLife() time.Duration {
	for _, d := range keyLives {
		if c.form("life") == d.String() {
			return d
		}
	}
	return keyLife
}

func (p *Pages) serveMakeKey(c *console) { c.show(http.StatusOK, c.keyForm()) }

func (p *Pages) postMakeKey(c *console) {
	page := c.keyForm()
	powers, err := mfa.ParsePowers(c.r.PostForm["scope"])
	if err != nil || powers == 0 {
		page.wrong(&fieldError{"scope", c.T("console.key.scopes.none")})
		c.show(http.StatusUnprocessableEntity, page)
		return
	}
	in := mfa.APIKeyInput{Name: c.form("name"), Powers: powers, Organization: mfa.OrganizationID(c.form("organization")), Life: c.keyLife()}
	text, k, err := c.admin.CreateAPIKey(c.r.Context(), in)
	switch {
	case err == nil:
		c.reveal(secretPage{
			frame: c.frame(c.T("console.key.made")), Secret: text, Back: c.link("admin/keys"), Label: c.T("console.back.keys"),
			Text: []string{c.T("console.key.for", "name", k.Name, "time", c.moment(k.Expires))},
			More: []string{c.T("console.key.how"), c.T("console.key.keep")},
		})
	case errors.Is(err, mfa.ErrName):
		page.wrong(&fieldError{"name", c.T("console.key.name.wrong")})
		c.show(http.StatusUnprocessableEntity, page)
	case errors.Is(err, mfa.ErrNotAllowed) && in.Organization != "":
		page.wrong(&fieldError{"scope", c.T("console.key.scopes.organization")})
		c.show(http.StatusUnprocessableEntity, page)
	default:
		c.refuse(page, err)
	}
}

// revoking finds the key that is to end, and has answered where it reports false.
func (c *console) revoking() (formPage, *mfa.APIKey, bool) {
	list, err := c.admin.APIKeys(c.r.Context())
	if err != nil {
		c.failed(err)
		return formPage{}, nil, false
	}
	i := slices.IndexFunc(list, func(k *mfa.APIKey) bool { return k.ID == c.query.Get(paramID) })
	if i < 0 {
		c.missing()
		return formPage{}, nil, false
	}
	k := list[i]
	return formPage{
		frame: c.frame(c.T("console.key.revoke.title", "name", k.Name)), Text: []string{c.T("console.key.revoke.text")},
		Submit: c.T("console.key.revoke"), Danger: true, Cancel: c.link("admin/keys"),
	}, k, true
}

func (p *Pages) serveRevokeKey(c *console) {
	if page, _, ok := c.revoking(); ok {
		c.show(http.StatusOK, page)
	}
}

func (p *Pages) postRevokeKey(c *console) {
	page, k, ok := c.revoking()
	if !ok {
		return
	}
	if err := c.admin.RevokeAPIKey(c.r.Context(), k.ID); err != nil {
		c.refuse(page, err)
		return
	}
	c.done("revoked", "admin/keys")
}
