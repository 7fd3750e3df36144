//! All integration tests, as one binary: it links once and runs in parallel. A module is a subject.

mod access;
mod audit;
mod browser;
mod cli;
mod client;
mod clients_process;
#[cfg(feature = "cluster")]
mod cluster_counters;
#[cfg(feature = "cluster")]
mod cluster_gifts;
#[cfg(feature = "cluster")]
mod cluster_lanes;
#[cfg(feature = "cluster")]
mod cluster_process;
#[cfg(feature = "cluster")]
mod cluster_rig;
mod cluster_sim_clients;
mod cluster_sim_domain;
mod cluster_sim_faults;
mod cluster_sim_mongo;
mod cluster_sim_redis;
mod cluster_sim_runs;
mod cluster_sim_world;
mod config;
mod counter_api;
#[cfg(feature = "cluster")]
mod counter_cluster_scripts;
#[cfg(feature = "cluster")]
mod counter_cluster_sim;
#[cfg(feature = "cluster")]
mod counter_cluster_suite;
mod counter_crash;
mod counter_local;
mod counter_local_rig;
mod counter_model;
mod counter_process;
mod counter_suite;
mod crash_rig;
mod crashes;
mod data_tools;
mod disk_faults;
#[cfg(feature = "cluster")]
mod fault_proxy;
mod fuzz_corpus;
mod fuzz_targets;
mod fuzz_tlv;
mod fuzz_trade;
mod gift_api;
#[cfg(feature = "cluster")]
mod gift_cluster_keys;
mod gift_cluster_node;
#[cfg(feature = "cluster")]
mod gift_cluster_script_cost;
#[cfg(feature = "cluster")]
mod gift_cluster_scripts;
mod gift_cluster_sim;
#[cfg(feature = "cluster")]
mod gift_cluster_suite;
mod gift_crash;
mod gift_local;
mod gift_local_rig;
mod gift_model;
mod gift_process;
mod gift_rig;
mod gift_suite;
mod hard_limits;
mod hard_process;
mod http_conversation;
mod http_head;
mod http_negotiation;
mod http_rig;
mod http_router;
mod http_splits;
mod log_lines;
#[cfg(feature = "cluster")]
mod mongo_lane;
#[cfg(feature = "cluster")]
mod mongo_server;
mod net_accept;
mod net_allocations;
mod net_bytes;
mod net_harness;
mod net_lifecycle;
mod net_topics;
#[cfg(feature = "cluster")]
mod openapi;
mod ops_metrics;
mod ops_pprof;
mod ops_slow;
mod packaging;
mod packet_api;
mod packet_cluster_calls;
#[cfg(feature = "cluster")]
mod packet_cluster_process;
#[cfg(feature = "cluster")]
mod packet_cluster_rain;
#[cfg(feature = "cluster")]
mod packet_cluster_rig;
#[cfg(feature = "cluster")]
mod packet_cluster_scripts;
mod packet_cluster_servers;
mod packet_cluster_sim;
#[cfg(feature = "cluster")]
mod packet_cluster_suite;
mod packet_cluster_world;
mod packet_crash;
mod packet_disk;
mod packet_draw;
mod packet_local;
mod packet_model;
mod packet_process;
mod packet_proof;
mod packet_rig;
mod packet_suite;
mod readme;
#[cfg(feature = "cluster")]
mod redis_cluster_lane;
#[cfg(feature = "cluster")]
mod redis_lane;
#[cfg(feature = "cluster")]
mod redis_server;
#[cfg(feature = "cluster")]
mod redis_tls;
mod router_rig;
mod server;
mod server_rules;
mod service_manager;
mod soak;
mod tidy;
mod tlv_client;
mod tlv_session;
mod tlv_talk;
#[cfg(feature = "cluster")]
mod torture_cluster;
mod trade_clients;
mod trade_crash;
mod trade_model;
mod trade_process;
mod trade_rig;
mod trade_robust;
mod trade_terminal;
mod trade_tools;
mod web_browser;
mod web_stream;
