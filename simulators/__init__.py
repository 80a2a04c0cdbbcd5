"""A synthetic Zhengzhou with labelled faults, published over real MQTT by an encoder of its own."""
