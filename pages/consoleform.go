package pages

import "net/http"

// formPage asks for what a change needs, with the name of what is lost and what happens
// next.
type formPage struct {
	frame
	Text   []string
	Fields []field
	Action string // the address that it is sent to
	Submit string
	Danger bool
	Cancel string // the address of the page before
	// Force offers to do it although somebody would be locked out.
	Force bool
}

// field is one field of a form. Kind is "text", "area", "select", "checks" or "choice".
type field struct {
	Kind, Name, Label, Hint string
	Value, Error            string
	Options                 []option
	Max                     int
}

// option is one value of a field that has a few.
type option struct {
	Value, Label, Hint string
	Selected           bool
}

// ID names the field within the page.
func (f field) ID() string { return "f-" + f.Name }

// HintID and ErrorID name what describes the field.
func (f field) HintID() string  { return f.ID() + "-hint" }
func (f field) ErrorID() string { return f.ID() + "-error" }

// Describes lists what describes the field.
func (f field) Describes() string {
	list := ""
	if f.Error != "" {
		list = f.ErrorID()
	}
	if f.Hint != "" {
		if list != "" {
			list += " "
		}
		list += f.HintID()
	}
	return list
}

// Focus names the first field that something is wrong with, or the first.
func (p formPage) Focus() string {
	for _, f := range p.Fields {
		if f.Error != "" {
			return f.Name
		}
	}
	if p.Danger || len(p.Fields) == 0 {
		return ""
	}
	return p.Fields[0].Name
}

// show renders the form. What is wrong with a field is said for who cannot see it, too.
func (c *console) show(status int, page formPage) {
	if page.Action == "" {
		page.Action = c.here()
	}
	for _, f := range page.Fields {
		if f.Error != "" && page.FieldError == "" {
			page.FieldError = f.Error
		}
	}
	c.render(status, "console_form", page)
}

// refuse shows the form again with why it was not done.
func (c *console) refuse(page formPage, err error) {
	if !answers(err) {
		c.failed(err)
		return
	}
	status, text := c.refusal(err)
	page.Error = text
	c.show(status, page)
}

// secretPage shows what is shown this once.
type secretPage struct {
	frame
	Text   []string
	Secret string
	More   []string // how to hand it over, and what happens then
	Link   bool     // it is an address
	Back   string
	Label  string
}

// reveal answers a POST with a secret. The answer may be kept nowhere, and the secret
// stands in no address.
func (c *console) reveal(page secretPage) { c.render(http.StatusOK, "console_secret", page) }
