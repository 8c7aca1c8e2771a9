package pages

import (
	"bufio"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// auditPage is the record of what happened, with filters.
type auditPage struct {
	frame
	User, Since, Until     string
	UserError              string
	SinceError, UntilError string
	Events                 []option
	Hidden                 []option
	Grid                   grid
	Export, Clear          string
	Verdict                []string
	VerdictTone            string
	Filtered               bool
}

// dayFormat is how a day is written in an address, and by fields for one.
const dayFormat = "2006-01-02"

// auditQuery reads the filters. What cannot be read is said by its field.
func (c *console) auditQuery(page *auditPage) mfa.AuditQuery {
	q := mfa.AuditQuery{User: strings.TrimSpace(c.query.Get("user"))}
	page.User = q.User
	if name, err := mfa.ParseEventName(c.query.Get("event")); err == nil {
		q.Name = name
	}
	day := func(param string, value, wrong *string) time.Time {
		*value = strings.TrimSpace(c.query.Get(param))
		if *value == "" {
			return time.Time{}
		}
		t, err := time.Parse(dayFormat, *value)
		if err != nil {
			*wrong = c.T("console.audit.day")
		}
		return t
	}
	q.Since = day("since", &page.Since, &page.SinceError)
	if q.Until = day("until", &page.Until, &page.UntilError); !q.Until.IsZero() {
		q.Until = q.Until.AddDate(0, 0, 1) // that day is part of it
	}
	page.Filtered = q != mfa.AuditQuery{}
	return q
}

// auditForm is the page without its events.
func (c *console) auditForm() (auditPage, mfa.AuditQuery) {
	page := auditPage{frame: c.frame(c.T("console.audit")), Export: c.link("admin/audit/export"), Clear: c.link("admin/audit"), Hidden: c.hidden()}
	q := c.auditQuery(&page)
	for _, name := range mfa.EventNames {
		page.Events = append(page.Events, option{Value: string(name), Label: c.eventName(name), Selected: name == q.Name})
	}
	return page, q
}

// eventName is the event in words, as a filter names it.
func (v *visit) eventName(name mfa.EventName) string {
	return v.eventText(&mfa.Event{Name: name, OK: true})
}

func (p *Pages) serveAudit(c *console) {
	page, q := c.auditForm()
	after, status := c.query.Get(paramAfter), http.StatusOK
	var list []mfa.Event
	var next string
	if page.SinceError == "" && page.UntilError == "" {
		var err error
		list, next, err = c.admin.Audit(c.r.Context(), q, after, pageSize)
		switch {
		case errors.Is(err, mfa.ErrNotFound):
			page.UserError = c.T("console.audit.nobody")
		case err != nil:
			c.failed(err)
			return
		}
	}
	for _, text := range []string{page.UserError, page.SinceError, page.UntilError} {
		if text != "" {
			page.FieldError, status = text, http.StatusUnprocessableEntity
		}
	}
	page.Grid = c.eventGrid(list, true)
	page.Grid.Caption, page.Grid.Empty = c.T("console.audit"), c.T("console.audit.empty")
	if page.Filtered {
		page.Grid.Empty = c.T("console.audit.none")
	}
	page.Grid.pages(c, "admin/audit", after, next, "user", page.User, "event", string(q.Name), "since", page.Since, "until", page.Until)
	c.render(status, "console_audit", page)
}

// chainWords say what is wrong with the chain of events.
var chainWords = map[string]string{
	"changed":   "console.verify.changed",
	"missing":   "console.verify.missing",
	"reordered": "console.verify.reordered",
	"cut":       "console.verify.cut",
}

// postAudit checks the chain of events. It reads every one of them: a POST, so that no
// link or picture has it done.
func (p *Pages) postAudit(c *console) {
	found, err := c.admin.VerifyAudit(c.r.Context())
	if err != nil {
		c.failed(err)
		return
	}
	page, _ := c.auditForm()
	page.Grid = grid{ID: "events"}
	switch {
	case found.Broken != 0:
		page.VerdictTone = "bad"
		page.Verdict = []string{c.T("console.verify.bad", "n", found.Broken)}
		if key, ok := chainWords[found.What]; ok {
			page.Verdict = append(page.Verdict, c.T(key))
		}
		page.Verdict = append(page.Verdict, c.T("console.verify.bad.next"))
	case found.Count == 0:
		page.Verdict = []string{c.T("console.audit.empty")}
	default:
		page.VerdictTone = "good"
		page.Verdict = []string{
			c.T("console.verify.good", "n", found.Count, "first", found.First, "last", found.Last),
			c.T("console.verify.keep", "last", found.Last, "head", found.Head),
		}
	}
	c.render(http.StatusOK, "console_audit", page)
}

// serveExport answers with every event that is kept, one line each, as a file. It is
// written as it is read: nobody's memory holds a year of events.
func (p *Pages) serveExport(c *console) {
	switch c.r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		// Another site's link would have the gateway read everything out.
		c.message(http.StatusForbidden, messagePage{Heading: c.T("csrf.title"), Text: []string{c.T("csrf.text")}, Actions: []action{{Href: c.link("admin/audit"), Label: c.T("csrf.back")}}})
		return
	}
	out := bufio.NewWriterSize(c.w, 32<<10)
	lines := json.NewEncoder(out)
	begun := false
	begin := func() {
		h := c.w.Header()
		web.APIHeaders(h, c.req.HTTPS)
		h.Set("Content-Type", "application/x-ndjson")
		h.Set("Content-Disposition", `attachment; filename="audit-`+c.p.now().UTC().Format(dayFormat)+`.jsonl"`)
		c.w.WriteHeader(http.StatusOK)
		begun = true
	}
	if c.r.Method == http.MethodHead {
		begin()
		return
	}
	err := c.admin.Export(c.r.Context(), 0, func(e mfa.Event) error {
		if !begun {
			begin()
		}
		return lines.Encode(e)
	})
	switch {
	case err == nil && !begun:
		begin()
	case err != nil && !begun:
		c.failed(err)
		return
	case err != nil:
		c.fault(err)
		// A file that ends early must not look whole.
		panic(http.ErrAbortHandler)
	}
	_ = out.Flush() // nobody is left to tell when the client went away
}
