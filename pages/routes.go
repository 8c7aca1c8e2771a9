package pages

import "slices"

// Routes lists what is served below Root, one "METHOD name" for each, sorted: a
// test holds each against a table of who may open it, so that nobody adds a page
// without saying so (AC-155).
func (p *Pages) Routes() []string {
	var list []string
	for name, rt := range p.routes {
		if rt.get != nil {
			list = append(list, "GET "+name)
		}
		if rt.post != nil {
			list = append(list, "POST "+name)
		}
	}
	for name, rt := range p.consoleRoutes() {
		if rt.get != nil {
			list = append(list, "GET "+name)
		}
		if rt.post != nil {
			list = append(list, "POST "+name)
		}
	}
	slices.Sort(list)
	return list
}
