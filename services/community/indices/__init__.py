"""What people in places and their requests are judged by: occupancy, contacts, flows, small cells, clusters; pure."""
