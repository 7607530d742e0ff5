package main

import (
	"context"
	"strings"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	bridgetokens "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	sdkv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/terraform-providers/terraform-provider-docker/shim"
)

const (
	localEngine = "unix:///var/run/docker.sock"
	// Docker refuses longer names.
	longestName = 255
)

// token gives the token under which the SDK knows a resource or a data source.
func token(name string) string {
	return "docker:index/" + strings.ToLower(name[:1]) + name[1:] + ":" + name
}

// provider maps the upstream provider's types, fields and defaults to the SDK's.
func provider(version string) tfbridge.ProviderInfo {
	info := tfbridge.ProviderInfo{
		P:    sdkv2.NewProvider(shim.NewProvider(version)),
		Name: "docker",
		Config: map[string]*tfbridge.SchemaInfo{
			"host": {Default: &tfbridge.DefaultInfo{
				EnvVars: []string{"DOCKER_HOST"},
				ComputeDefault: func(context.Context, tfbridge.ComputeDefaultOptions) (any, error) {
					return localEngine, nil
				},
			}},
			"registry_auth": {Name: "registryAuth", MaxItemsOne: tfbridge.False()},
		},
		Resources: map[string]*tfbridge.ResourceInfo{
			"docker_container": {
				Tok: tokens.Type(token("Container")),
				// A container's name and ports are taken until it is gone.
				DeleteBeforeReplace: true,
				Fields: map[string]*tfbridge.SchemaInfo{
					"command":           {Name: "command"},
					"networks_advanced": {Name: "networksAdvanced"},
				},
			},
			"docker_config": {Tok: tokens.Type(token("ServiceConfig"))},
			"docker_image": {
				Tok:    tokens.Type(token("RemoteImage")),
				Fields: map[string]*tfbridge.SchemaInfo{"name": {Name: "name"}},
			},
		},
		DataSources: map[string]*tfbridge.DataSourceInfo{
			"docker_image": {Tok: tokens.ModuleMember(token("getRemoteImage"))},
		},
	}
	// The rest is named as upstream names it: docker_network is Network.
	info.MustComputeTokens(bridgetokens.SingleModule("docker_", "index", bridgetokens.MakeStandard("docker")))
	info.SetAutonaming(longestName, "-")
	return info
}
