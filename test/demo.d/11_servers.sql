SELECT server, requests, failures, retries FROM workflow.servers;
