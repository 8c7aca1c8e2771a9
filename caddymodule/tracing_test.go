package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/secondgate/secondgate/mfa"
)

// spans takes spans as a collector of OpenTelemetry does.
type spans struct {
	mu   sync.Mutex
	list []*trace.Span
	raw  strings.Builder
}

func collect(t *testing.T) *spans {
	t.Helper()
	s := new(spans)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		var got collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(raw, &got)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.raw.Write(raw)
		for _, resource := range got.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				s.list = append(s.list, scope.Spans...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	return s
}

// take waits for the span of one request, "GET /x", and returns it with all below it.
func (s *spans) take(t *testing.T, root string) (found []*trace.Span) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		s.mu.Lock()
		for _, span := range s.list {
			if span.Name == root {
				for _, other := range s.list {
					if string(other.TraceId) == string(span.TraceId) {
						found = append(found, other)
					}
				}
			}
		}
		s.mu.Unlock()
		if len(found) > 0 {
			return found
		}
	}
	t.Fatalf("no span %q", root)
	return nil
}

// tree writes spans as lines, each below its parent.
func tree(list []*trace.Span) string {
	var b strings.Builder
	var write func(parent []byte, depth int)
	write = func(parent []byte, depth int) {
		for _, span := range list {
			if string(span.ParentSpanId) != string(parent) {
				continue
			}
			fmt.Fprintf(&b, "%s%s", strings.Repeat("  ", depth), span.Name)
			for _, a := range span.Attributes {
				if !strings.HasPrefix(a.Key, "secondgate.") {
					continue
				}
				value := a.Value.GetStringValue()
				if value == "" {
					value = fmt.Sprint(a.Value.GetBoolValue())
				}
				if a.Key == "secondgate.decision" {
					value = fmt.Sprint(len(value), " letters")
				}
				fmt.Fprintf(&b, " %s=%s", strings.TrimPrefix(a.Key, "secondgate."), value)
			}
			if span.Status.GetCode() == trace.Status_STATUS_CODE_ERROR {
				b.WriteString(" ERROR")
			}
			b.WriteString("\n")
			write(span.SpanId, depth+1)
		}
	}
	write(nil, 0)
	return b.String()
}

// With Caddy's directive "tracing" the gate's work is seen below the request's span: what
// was decided and why, and what the store did for it. No name, session or path is in it
// (AC-229).
func TestTracing_OfARunningGateway(t *testing.T) {
	received := collect(t)
	g := newGateway(t)
	text := g.text("require on",
		"tracing {\n\t\tspan {http.request.uri.query.span}\n\t}\n\tmfa /fresh* {\n\t\tfresh 5m\n\t}\n\tmfa /nobodys* {\n\t\torganization nobodys\n\t}\n\tmfa\n\trespond ok")
	g.mustLoad(text)
	cookie := g.signIn("alice", time.Hour)
	for _, c := range []struct{ name, path, want string }{
		{"the first request asks the store", "/private-path?span=first&secret=querysecret", `first
  secondgate.decide action=allow reason=none allowed=true cache_hit=false
    secondgate.store operation=session
    secondgate.store operation=user
`},
		{"the next does not", "/private-path?span=second", `second
  secondgate.decide action=allow reason=none allowed=true cache_hit=true
`},
		{"a proof that is too old", "/fresh?span=fresh", `fresh
  secondgate.decide action=step_up reason=too_old allowed=false cache_hit=true decision=12 letters
`},
		{"another's organization", "/nobodys?span=nobodys", `nobodys
  secondgate.decide action=refuse reason=not_member allowed=false cache_hit=true decision=12 letters
`},
	} {
		g.get(c.path, cookie)
		_, query, _ := strings.Cut(c.path, "span=")
		root, _, _ := strings.Cut(query, "&")
		if got := tree(received.take(t, root)); got != c.want {
			t.Errorf("%s:\n%swant:\n%s", c.name, got, c.want)
		}
	}
	g.get("/x?span=nobody", nil)
	if got := tree(received.take(t, "nobody")); got != "nobody\n  secondgate.decide action=sign_in reason=no_session allowed=false cache_hit=false\n" {
		t.Errorf("nobody:\n%s", got)
	}
	g.get("/.mfa/account?span=page", cookie)
	if got := tree(received.take(t, "page")); !strings.HasPrefix(got, "page\n  secondgate.page\n    secondgate.store operation=") {
		t.Errorf("a page:\n%s", got)
	}
	g.get("/.mfa/health?span=health", nil)
	if got := tree(received.take(t, "health")); got != "health\n" {
		t.Errorf("health:\n%s", got)
	}

	received.mu.Lock()
	defer received.mu.Unlock()
	ours := 0
	for _, span := range received.list {
		if !strings.HasPrefix(span.Name, "secondgate.") {
			continue // Caddy's own, which names path and query
		}
		ours++
		text := span.String()
		for _, secret := range []string{"alice", "id-alice", "private-path", "querysecret", cookie.Value, g.host, "local:"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in a span: %s", secret, text)
			}
		}
	}
	if ours < 8 {
		t.Errorf("%d spans of ours", ours)
	}
}

// What the store and a sender do for a traced request is below its span, and an error
// where it did not succeed, without the words of the error: those may name somebody.
func TestTracing_FailuresNameNobody(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(exporter))
	ctx, parent := provider.Tracer("test").Start(t.Context(), "request")
	why := errors.New("no mailbox alice@example.com")
	for _, err := range []error{nil, why} {
		s := &measuredSender{Sender: refusing{err}, channel: "email", name: "smtp", metrics: newMetrics()}
		_ = s.Send(ctx, &mfa.Message{Kind: mfa.LetterVerify, To: "alice@example.com", Code: mfa.Secret("12345678")})
		_, _ = measure(faultyStore{err: err}, newMetrics()).User(ctx, "id-alice")
	}
	_, _ = measure(faultyStore{err: mfa.ErrNotFound}, newMetrics()).User(ctx, "id-alice")
	parent.End()
	var got []string
	for _, span := range exporter.GetSpans() {
		line := span.Name + " " + span.Status.Code.String()
		for _, a := range span.Attributes {
			line += " " + string(a.Key) + "=" + a.Value.AsString()
		}
		if text := fmt.Sprintf("%+v", span); strings.Contains(text, "alice") || strings.Contains(text, "12345678") {
			t.Errorf("a span names somebody: %s", text)
		}
		got = append(got, line)
	}
	want := []string{
		"secondgate.send Unset secondgate.channel=email secondgate.sender=smtp",
		"secondgate.store Unset secondgate.operation=user",
		"secondgate.send Error secondgate.channel=email secondgate.sender=smtp",
		"secondgate.store Error secondgate.operation=user",
		"secondgate.store Unset secondgate.operation=user",
		"request Unset",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Where nobody traces, nothing is made for it.
func TestTracing_CostsNothingWhereNobodyTraces(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
	d := mfa.Decision{Action: mfa.Allow}
	if n := testing.AllocsPerRun(1000, func() {
		same, span := traceDecision(r)
		if same != r || span != nil {
			t.Fatal("another request")
		}
		span.end(d, true)
		if ctx, store := beginStoreSpan(context.Background(), "user"); store != nil || ctx != context.Background() {
			t.Fatal("another context")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
