// Package shim hands out the upstream Docker provider, whose constructor is
// internal to its module: Go's rule on internal packages looks at import paths,
// and this module's path lies below the upstream one.
package shim

import (
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/terraform-providers/terraform-provider-docker/internal/provider"
)

// NewProvider returns a fresh upstream provider that calls itself version.
func NewProvider(version string) *schema.Provider {
	return provider.New(version)()
}
