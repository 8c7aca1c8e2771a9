package caddymodule

import (
	"context"
	"net/http"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/secondgate/secondgate/mfa"
)

// tracerName is the scope of our spans.
const tracerName = "github.com/secondgate/secondgate"

// Where a site has Caddy's directive "tracing", the request's context carries a span
// that records, and what the gate does is told below it. Everywhere else a look at the
// context is all that this costs. No span names a user, a session or a path.

// child begins a span below the one of the context, or returns nil where none records.
func child(ctx context.Context, name string) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, nil
	}
	return parent.TracerProvider().Tracer(tracerName).Start(ctx, name)
}

// endSpan ends a span. What went wrong stands in the log: the text of an error may name
// what a trace must not.
func endSpan(span trace.Span, failed bool) {
	if failed {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// lookups counts the store's operations within a span.
type lookups struct{ n atomic.Int64 }

type lookupsKey struct{}

// decisionSpan is the span of one decision. nil: nobody traces.
type decisionSpan struct {
	span    trace.Span
	lookups lookups
}

// traceDecision returns the request to decide on. It is r itself where nobody traces.
func traceDecision(r *http.Request) (*http.Request, *decisionSpan) {
	if !trace.SpanFromContext(r.Context()).IsRecording() {
		return r, nil
	}
	d := new(decisionSpan)
	var ctx context.Context
	ctx, d.span = child(r.Context(), "secondgate.decide")
	return r.WithContext(context.WithValue(ctx, lookupsKey{}, &d.lookups)), d
}

// end says what was decided.
func (s *decisionSpan) end(d mfa.Decision, allowed bool) {
	if s == nil {
		return
	}
	s.span.SetAttributes(
		attribute.String("secondgate.action", d.Action.String()), attribute.String("secondgate.reason", reasonLabel(d.Reason)),
		attribute.Bool("secondgate.allowed", allowed), attribute.Bool("secondgate.cache_hit", s.hit(d)))
	if d.ID != "" {
		s.span.SetAttributes(attribute.String("secondgate.decision", d.ID))
	}
	if d.Reason == mfa.ReasonReportOnly {
		s.span.SetAttributes(attribute.String("secondgate.would", d.Would.String()))
	}
	s.span.End()
}

// hit reports whether a session was found without asking the store.
func (s *decisionSpan) hit(d mfa.Decision) bool {
	return s.lookups.n.Load() == 0 && d.Action != mfa.SignIn
}

// tracePage begins the span of one of our pages.
func tracePage(r *http.Request) (*http.Request, trace.Span) {
	if !trace.SpanFromContext(r.Context()).IsRecording() {
		return r, nil
	}
	ctx, span := child(r.Context(), "secondgate.page")
	return r.WithContext(ctx), span
}

func beginStoreSpan(ctx context.Context, operation string) (context.Context, trace.Span) {
	ctx, span := child(ctx, "secondgate.store")
	if span != nil {
		span.SetAttributes(attribute.String("secondgate.operation", operation))
		if l, ok := ctx.Value(lookupsKey{}).(*lookups); ok {
			l.n.Add(1)
		}
	}
	return ctx, span
}

func beginSendSpan(ctx context.Context, channel, sender string) (context.Context, trace.Span) {
	ctx, span := child(ctx, "secondgate.send")
	if span != nil {
		span.SetAttributes(attribute.String("secondgate.channel", channel), attribute.String("secondgate.sender", sender))
	}
	return ctx, span
}
