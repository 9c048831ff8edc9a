package apply

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ErrForbidden says that the cluster's owner does not allow the tenant what the bundle needs.
var ErrForbidden = errors.New("forbidden")

// ErrImmutable says that a field cannot be changed in the object as it is.
var ErrImmutable = errors.New("immutable")

// errInvalid says that the API server refuses the object as it would become.
var errInvalid = errors.New("invalid")

// Lasting says that an apply fails as long as its content stays as it is.
func Lasting(err error) bool { return errors.Is(err, ErrImmutable) || errors.Is(err, errInvalid) }

// refusal is the API server's wording of a missing right.
var refusal = regexp.MustCompile(`cannot (\S+) resource "([^"]*)" in API group "([^"]*)"(?: in the namespace "([^"]*)")?`)

// Explain turns an API error into one that says what a person can do about it.
func Explain(err error, account string, request Request) error {
	if err == nil {
		return nil
	}
	secret := request.Sealed || request.ID.Group == "" && request.ID.Kind == "Secret"
	if refused := admission(err, request, secret); refused != nil {
		return refused
	}
	switch {
	case apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err):
		return forbidden(err, account, request.Bundle)
	case secret && (apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsInternalError(err)):
		// The server's words may hold the Secret's values.
		return fmt.Errorf("invalid: the API server refuses the %s; its reasons are not shown, as they may hold values", request.ID.Kind)
	case apierrors.IsInvalid(err):
		return invalid(err)
	case apierrors.IsNotFound(err) && strings.Contains(err.Error(), "the server could not find the requested resource"):
		return fmt.Errorf("cannot apply: this cluster does not serve %s any more, is its CustomResourceDefinition gone? %w", request.ID.Kind, err)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("cannot apply: %w", err)
	default:
		return err
	}
}

func forbidden(err error, account, bundle string) error {
	tenant, _, _ := strings.Cut(bundle, "/")
	found := refusal.FindStringSubmatch(err.Error())
	if found == nil {
		// An admission plugin or a quota refused; its own words say why.
		return fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	verb, resource, group, namespace := found[1], found[2], found[3], found[4]
	if verb == "impersonate" {
		return fmt.Errorf("%w: the agent may not act as ServiceAccount %q: the cluster's owner allows it with the agent chart's value tenants[namespace=%s]",
			ErrForbidden, account, tenant)
	}
	if group != "" {
		resource += "." + group
	}
	where := ""
	if namespace != "" {
		where = fmt.Sprintf(" in namespace %q", namespace)
	}
	return fmt.Errorf("%w: ServiceAccount %q may not %s %s%s: the cluster's owner grants it with the agent chart's value tenants[namespace=%s].namespaces or .rules",
		ErrForbidden, account, verb, resource, where, tenant)
}

// contested names the fields that other managers have.
func contested(err error) string {
	var fields []string
	for _, cause := range causes(err) {
		if cause.Type == metav1.CauseTypeFieldManagerConflict {
			// The message is: conflict with "manager" using v1.
			fields = append(fields, fmt.Sprintf("field %s: %s", strings.TrimPrefix(cause.Field, "."), cause.Message))
		}
	}
	if len(fields) == 0 {
		return err.Error()
	}
	return some(fields)
}

func causes(err error) []metav1.StatusCause {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	return status.Status().Details.Causes
}

// invalid names the fields. A field that cannot be changed is named apart: the object must be made anew for it.
func invalid(err error) error {
	var immutable, other []string
	for _, cause := range causes(err) {
		text := cause.Field + ": " + cause.Message
		switch {
		case strings.Contains(cause.Message, "immutable") || strings.Contains(cause.Message, "may not be changed") ||
			strings.Contains(cause.Message, "updates to") && strings.Contains(cause.Message, "are forbidden"):
			if !slices.Contains(immutable, cause.Field) {
				immutable = append(immutable, cause.Field)
			}
		case !slices.Contains(other, text):
			other = append(other, text)
		}
	}
	switch {
	case len(immutable) > 0:
		return fmt.Errorf("cannot change %w field %s: delete the object to have it made anew: %w", ErrImmutable, strings.Join(immutable, ", "), err)
	case len(other) > 0:
		return fmt.Errorf("%w: %s", errInvalid, strings.Join(other, "; "))
	default:
		return err
	}
}
