package api

import (
	"net/http"
	"slices"
	"strings"
)

// part is a group of routes behind one door.
type part struct {
	// hidden reports that the routes are not there at all for this request; nil: they are.
	hidden func(*call) bool
	// door lets a request in before anything of it is read but its head. An error is the
	// answer.
	door func(*call) error
	// routes are the resources, by their path below Root: "account/factors/{id}".
	routes map[string]methods
}

// methods are what can be done with a resource. HEAD goes where GET does.
type methods map[string]handler

// handler does the work of one route. What it returns is written as JSON with status
// 200, or as created says; nil is 204. An error is answered by problem.go.
type handler func(*call) (any, error)

// created is a result with status 201.
type created struct{ body any }

// route is one resource of the table.
type route struct {
	segments []string // "{id}" stands for any
	hidden   func(*call) bool
	door     func(*call) error
	methods  methods
}

func newTable(parts ...part) []route {
	var table []route
	for _, p := range parts {
		for path, m := range p.routes {
			table = append(table, route{strings.Split(path, "/"), p.hidden, p.door, m})
		}
	}
	return table
}

// find returns the route of a path below Root and what its names stand for. A segment
// that is spelled out comes before one that stands for any.
func find(table []route, path string) (*route, map[string]string) {
	segments := strings.Split(path, "/")
	var best *route
	for i := range table {
		if r := &table[i]; r.matches(segments) && (best == nil || r.named() < best.named()) {
			best = r
		}
	}
	if best == nil {
		return nil, nil
	}
	names := map[string]string{}
	for i, s := range best.segments {
		if isName(s) {
			names[s[1:len(s)-1]] = segments[i]
		}
	}
	return best, names
}

func isName(segment string) bool { return strings.HasPrefix(segment, "{") }

func (r *route) named() int {
	n := 0
	for _, s := range r.segments {
		if isName(s) {
			n++
		}
	}
	return n
}

func (r *route) matches(segments []string) bool {
	return slices.EqualFunc(r.segments, segments, func(own, asked string) bool {
		return own == asked || isName(own) && asked != ""
	})
}

// allow lists the methods of a resource as the header Allow does.
func (m methods) allow() string {
	var list []string
	for name := range m {
		list = append(list, name)
		if name == http.MethodGet {
			list = append(list, http.MethodHead)
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// Routes lists what is served below Root, one "METHOD path" for each, sorted: tests hold
// each against the OpenAPI document, and against a table of who may open it (AC-155).
func (a *API) Routes() []string {
	var list []string
	for _, r := range a.table {
		for method := range r.methods {
			list = append(list, method+" "+strings.Join(r.segments, "/"))
		}
	}
	slices.Sort(list)
	return list
}
