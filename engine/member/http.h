/* http: what the HTTPS API tells of a cluster and takes for its order: GET /v1/cluster, POST /v1/changes, and what GET
 * /v1/me adds (http/http.h). Any thread. */
#ifndef KH_MEMBER_HTTP_H
#define KH_MEMBER_HTTP_H
#include "member/cluster.h"
#include "cluster/changes.h"
#include "http/http.h"

typedef struct kh_cluster_http {
    kh_http_cluster api; /* for kh_http_options */
    kh_cluster *cluster;
    kh_node *node;
    kh_changes *changes; /* kh_changes_decided is its caller's to call, from `decided` */
} kh_cluster_http;
/* kh_cluster_http_fill: of a cluster that was started; hubs_speak is the genesis's. Whoever calls keeps *ret until the server has
   stopped. */
void kh_cluster_http_fill(kh_cluster_http *ret, kh_cluster *cluster, bool hubs_speak);
#endif
