package pages

import (
	"errors"
	"net/http"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// explainPage says which rule made a decision, by the ID that a page showed; and which
// rules decide for a person at an address.
type explainPage struct {
	frame
	ID           string
	Hidden       []option
	Found        bool
	Decided, Why string
	Facts        []fact
	User         string // the address of the page of who it was
	IDError      string
	Form         *accessForm // nil: not for this person to ask
	Access       *accessView
}

func (p *Pages) serveExplain(c *console) {
	page := explainPage{Hidden: c.hidden(), ID: strings.TrimSpace(c.query.Get(paramID))}
	status := http.StatusOK
	if page.ID != "" {
		e, err := c.admin.Decision(c.r.Context(), page.ID)
		switch {
		case errors.Is(err, mfa.ErrNotFound):
			page.IDError, status = c.T("explain.none"), http.StatusNotFound
		case err != nil:
			c.failed(err)
			return
		default:
			page.Found = true
			page.Decided, page.Why = c.decisionWords(e)
			for _, f := range []fact{
				{Label: c.T("console.column.when"), Text: c.moment(e.At)},
				{Label: c.T("console.column.user"), Text: e.UserName},
				{Label: c.T("console.column.where"), Text: e.Host},
				{Label: c.T("console.column.network"), Text: e.Network},
				{Label: c.T("explain.rule"), Text: e.Reason},
				{Label: c.T("explain.detail"), Text: e.Detail},
			} {
				if f.Text != "" {
					page.Facts = append(page.Facts, f)
				}
			}
			if e.User != "" {
				page.User = c.userAddress(e.User)
			}
		}
	}
	page.frame = c.frame(c.T("console.explain"))
	page.FieldError = page.IDError
	page.Form = c.asksAccess("", "")
	c.render(status, "console_explain", page)
}
